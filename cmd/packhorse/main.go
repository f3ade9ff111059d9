// Command packhorse carries Microsoft Defender for Endpoint investigation packages into an evidence
// archive, on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/advice"
	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/local"
	"packhorse/internal/settings"
)

// version and commit are set by the linker.
var version, commit = "unknown", "unknown"

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // bad usage, settings or data folder: nothing was begun
	// What was checked agrees, and some of what the evidence calls for could not be checked.
	exitPartial = 3
	// The same, where nobody vouches for the key that signed.
	exitKeyNotTrusted = 4
)

func main() {
	os.Exit(Main{Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}.Run(os.Args[1:]))
}

// Main is the program with everything it takes from its surroundings, so that a test can run it.
type Main struct {
	Environ []string // "NAME=value"
	Stdout  io.Writer
	Stderr  io.Writer
}

// Run executes one command line and returns the exit code. The first interrupt ends the command
// cleanly, a second one at once.
func (m Main) Run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // from here on the signal has its default effect again

	root := m.command()
	root.SetArgs(args)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(m.Stderr, "packhorse: %s\n", console.CleanText(err.Error()))
	if advice := advice.For(err); advice != "" {
		fmt.Fprintf(m.Stderr, "hint: %s\n", advice)
	}
	return exitCode(err)
}

// exitCode returns the exit code of a command that ended with the error.
func exitCode(err error) int {
	if _, ok := errors.AsType[*settings.Error](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	if _, ok := errors.AsType[*datafolder.Error](err); ok {
		return exitUsage
	}
	verdict, ok := errors.AsType[*verdictError](err)
	switch {
	case !ok, !verdict.partial:
		return exitFailed
	case verdict.keyNotTrusted:
		return exitKeyNotTrusted
	default:
		return exitPartial
	}
}

func (m Main) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "packhorse",
		Short: "Carry Defender investigation packages into an evidence archive",
		Long: `Packhorse finds every investigation package of a Microsoft Defender for Endpoint tenant,
spends the API's budget (2 calls a minute, 120 an hour) to the last call without ever breaking it,
and stores each package exactly once, hashed and verified.`,
		Example: `  packhorse run --simulate 4 --until-idle       see it work, in about a minute
  packhorse run --help                          what a real tenant needs
  packhorse verify                              is the evidence what was collected, and all of it?
  packhorse list --machine fin-ws-17            what there is of a host`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(usage)
	root.AddCommand(runCommand(local.Options{Environ: m.Environ, Version: version, Commit: commit}),
		simulateCommand(), verifyCommand(), listCommand(), custodyCommand(), publicKeyCommand())
	return root
}
