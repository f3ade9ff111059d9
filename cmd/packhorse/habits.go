package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/suggest"
	"packhorse/internal/settings"
)

// Environment variables that every command reads; package settings has those of a run.
const (
	variableData    = "PACKHORSE_DATA"
	variableNoColor = "NO_COLOR"
	variableTerm    = "TERM"
)

// choice is the value of a flag that takes one word from a list.
type choice struct {
	value   string
	choices []string
}

// String implements pflag.Value.
func (c *choice) String() string { return c.value }

// Type implements pflag.Value.
func (*choice) Type() string { return "string" }

// Set implements pflag.Value.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.choices, text) {
		return fmt.Errorf("write one of %s%s", strings.Join(c.choices, ", "), suggest.Question(text, "", c.choices))
	}
	c.value = text
	return nil
}

// addHabits adds the flags that every command has.
func addHabits(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.BoolP("quiet", "q", false, "show no progress and no advice; results and errors stay")
	flags.Var(&choice{"warn", []string{"debug", "info", "warn", "error"}}, "log-level",
		"write log lines of this `LEVEL` and above to standard error: debug, info, warn or error")
	flags.Var(&choice{"text", []string{"text", "json"}}, "log-format", "`FORMAT` of log lines: text or json")
}

// fitHelp makes help fit a narrow terminal.
func fitHelp(root *cobra.Command) {
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		out := cmd.OutOrStdout()
		var text bytes.Buffer
		cmd.SetOut(&text)
		help(cmd, args)
		cmd.SetOut(out)
		fmt.Fprint(out, console.Fit(text.String(), widthOf(out)))
	})
}

// isQuiet reports whether the user asked for no progress and no advice.
func isQuiet(cmd *cobra.Command) bool {
	quiet, err := cmd.Root().PersistentFlags().GetBool("quiet")
	return err == nil && quiet
}

// newLogger returns the logger that the command's flags ask for.
func newLogger(cmd *cobra.Command, out io.Writer) *slog.Logger {
	flags := cmd.Root().PersistentFlags()
	var options slog.HandlerOptions
	var level slog.Level
	err := level.UnmarshalText([]byte(flags.Lookup("log-level").Value.String()))
	if err != nil {
		panic("packhorse: a log level that slog does not know: " + err.Error())
	}
	options.Level = level
	if flags.Lookup("log-format").Value.String() == "json" {
		return slog.New(slog.NewJSONHandler(out, &options))
	}
	return slog.New(slog.NewTextHandler(out, &options))
}

// setDataDefaults makes PACKHORSE_DATA the default of every --data flag.
func setDataDefaults(cmd *cobra.Command, environ map[string]string) {
	data := environ[variableData]
	if data == "" {
		return
	}
	for _, sub := range cmd.Commands() {
		setDataDefaults(sub, environ)
	}
	flag := cmd.Flags().Lookup("data")
	if flag == nil {
		return
	}
	flag.DefValue = data
	err := flag.Value.Set(data) // the flag does not count as given
	if err != nil {
		panic("packhorse: --data does not take a text: " + err.Error())
	}
}

// terminalIn says what the user's terminal can show: colors, and text that is redrawn.
func terminalIn(environ []string) (color console.Color, redraws bool) {
	variables := settings.Map(environ)
	return console.ColorFor(variables), variables[variableTerm] != "dumb"
}
