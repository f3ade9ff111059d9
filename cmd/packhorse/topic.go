package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/settings"
)

// settingsTopic is the help page of the environment variables, made from the list that the settings are read
// by. A command without a Run is a topic.
func settingsTopic() *cobra.Command {
	return &cobra.Command{
		Use:     "settings",
		Short:   "Every environment variable, with its form and default",
		Long:    settingsText(settings.Variables()),
		Example: "  packhorse help settings",
	}
}

func settingsText(variables []settings.Variable) string {
	var run, functions strings.Builder
	for _, v := range variables {
		out := &run
		if v.OnAWS {
			out = &functions
		}
		text := v.Expected + ", such as " + v.Example
		if v.Default != "" {
			text = v.Expected + "; " + v.Default + " by default"
		}
		fmt.Fprintf(out, "  %s\n%s\n", v.Name, console.Fill(text, "      ", "      "))
	}
	return `Settings come from the environment. An empty variable counts as unset. A setting that is wrong ends
the command before it does anything, and the message names it.

packhorse run reads these. Tenant and client are required, and a credential of one of three kinds (see
packhorse help credentials). What depends on the cloud (the URLs, the scope and the link hosts) has a
default for each:

` + run.String() + `
The functions on AWS also read these; the template sets them. The command line ignores them:

` + functions.String() + `
Every command reads these:

  ` + variableData + `
      the data directory, unless --data names one
  ` + variableNoColor + `
      with any value, outcomes are not shown in color
  ` + variableTerm + `
      dumb: lines instead of progress bars, and no color
  HTTPS_PROXY, NO_PROXY
      the proxy for connections to Defender, Entra ID and AWS, and the hosts that do without it

What reads a bucket, a table or a stack uses your AWS configuration: AWS_PROFILE, AWS_REGION and the
other variables of the AWS tools.`
}
