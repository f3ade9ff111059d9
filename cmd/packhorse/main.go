// Command packhorse archives Microsoft Defender for Endpoint investigation packages from a single machine.
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
	"packhorse/cmd/packhorse/build"
	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/local"
	"packhorse/internal/settings"
)

// These are set by the linker.
var version, commit, commitTime = build.Unknown, build.Unknown, build.Unknown

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2 // invalid usage, settings or data folder: nothing was started
	// Everything checked agrees, but some checks that the evidence calls for could not be made.
	exitPartial = 3
	// Like exitPartial, and only the archive itself vouches for the signing key.
	exitKeyNotTrusted = 4
)

func main() {
	os.Exit(Main{Environ: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr}.Run(os.Args[1:]))
}

// Main is the program with its environment and output streams as fields, which lets tests run it.
type Main struct {
	Environ []string // "NAME=value"
	Stdout  io.Writer
	Stderr  io.Writer
}

// Run executes one command line and returns the exit code. The first interrupt stops the command
// cleanly; a second one kills it.
func (m Main) Run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // restores the default effect: the next signal kills the process

	root := m.command()
	root.SetArgs(args)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	width := widthOf(m.Stderr)
	fmt.Fprintln(m.Stderr, console.FitLines("packhorse: "+console.CleanText(err.Error()), width))
	if advice := advice.For(err); advice != "" && !isQuiet(root) {
		fmt.Fprintln(m.Stderr, console.FitLines("advice: "+console.CleanText(advice), width))
	}
	return exitCode(err)
}

// exitCode returns the exit code for a command that failed with err.
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
		Short: "Archive Defender investigation packages as evidence",
		Long: `Packhorse archives every investigation package in a Microsoft Defender for Endpoint tenant. It uses
the API's full budget (2 calls a minute, 120 an hour) without exceeding it, and stores each package
exactly once, hashed and verified.`,
		Example: `  packhorse run --simulate 4 --until-idle       watch it work, in about a minute
  packhorse run --help                          what a real tenant needs
  packhorse doctor                              is it set up right?
  packhorse verify                              is the evidence unchanged and complete?
  packhorse list --machine fin-ws-17            which packages a host has`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(knownCommand),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(usageOfFlags)
	root.AddCommand(
		runCommand(local.Options{Environ: m.Environ, Version: version, Commit: commit}),
		simulateCommand(),
		verifyCommand(m.Environ),
		doctorCommand(m.Environ),
		statusCommand(m.Environ),
		listCommand(),
		showCommand(),
		getCommand(m.Environ),
		exportCommand(m.Environ),
		custodyCommand(),
		publicKeyCommand(),
		credentialCommand(),
		tenantCommand(m.Environ),
		versionCommand(),
		settingsTopic(),
		credentialsTopic(),
		manCommand(),
	)
	addHabits(root)
	fitHelp(root)
	setDataDefaults(root, settings.Map(m.Environ))
	return root
}
