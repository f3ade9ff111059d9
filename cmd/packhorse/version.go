package main

import (
	"encoding/json"
	"runtime/debug"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/build"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Say which source this program was built from",
		Long: `Version prints the version, the commit and its time, whether the source differed from that commit,
the Go version and the platform. Manifests name the same version and commit. go version -m shows
every library in the program.`,
		Example: `  packhorse version
  packhorse version --json | jq -r .commit`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			facts := buildFacts()
			if !asJSON {
				return facts.Print(cmd.OutOrStdout())
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(facts)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write one JSON object")
	return cmd
}

// buildFacts returns what is known of this build.
func buildFacts() build.Facts {
	info, _ := debug.ReadBuildInfo()
	return build.Of(build.Linked{Version: version, Commit: commit, CommitTime: commitTime}, info)
}
