package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/local"
	"packhorse/internal/verify"
)

// runScreen shows the events of a run, then its summary.
type runScreen struct {
	reporter local.Reporter
	logger   *slog.Logger
	close    func()                        // may be called more than once
	show     func([]console.Summary) error // one for each tenant
}

// openRunScreen chooses how a run is shown: as JSON lines on standard output, or as progress bars on
// standard error (plain lines if that is not a terminal) with a final table on standard output. With --quiet
// only the table is shown.
func openRunScreen(cmd *cobra.Command, environ []string, json bool) runScreen {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	table := func(all []console.Summary) error { return console.Tables(stdout, widthOf(stdout), all) }
	color, redraws := terminalIn(environ)
	logger := newLogger(cmd, stderr)
	switch terminal := terminalOf(stderr); {
	case json:
		lines := console.NewJSON(stdout, time.Now)
		return runScreen{lines, logger, func() {}, lines.Summaries}
	case isQuiet(cmd):
		return runScreen{console.NewLines(io.Discard, time.Now), logger, func() {}, table}
	case terminal != nil && redraws:
		t := console.NewTerminal(terminal, time.Now, color)
		return runScreen{t, newLogger(cmd, t), t.Close, table}
	default:
		return runScreen{console.NewLines(stderr, time.Now), logger, func() {}, table}
	}
}

// verifyScreen shows a verification.
type verifyScreen struct {
	reporter verify.Reporter
	close    func() // may be called more than once
	show     func(console.Verification) error
}

func openVerifyScreen(cmd *cobra.Command, environ []string, json bool) verifyScreen {
	stdout := cmd.OutOrStdout()
	table := func(v console.Verification) error { return v.Table(stdout) }
	color, redraws := terminalIn(environ)
	switch terminal := terminalOf(cmd.ErrOrStderr()); {
	case json:
		lines := console.NewVerifyJSON(stdout, time.Now)
		return verifyScreen{lines, func() {}, func(v console.Verification) error { return lines.Summary(v.Summary) }}
	case terminal != nil && redraws && !isQuiet(cmd):
		bars := console.NewVerifyBars(terminal, color)
		return verifyScreen{bars, bars.Close, table}
	default:
		return verifyScreen{console.Quiet{}, func() {}, table}
	}
}

// terminalOf returns the terminal that out writes to, or nil if it is not a terminal.
func terminalOf(out io.Writer) *os.File {
	file, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

// widthOf returns the columns of the terminal that out writes to, or 0 if it is not a terminal.
func widthOf(out io.Writer) int {
	terminal := terminalOf(out)
	if terminal == nil {
		return 0
	}
	width, _, err := term.GetSize(int(terminal.Fd()))
	if err != nil {
		return 0
	}
	return width
}
