package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"packhorse/cmd/packhorse/suggest"
)

// usageError reports an invalid command line.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v (see %s --help)", e.err, e.command)
}

func (e *usageError) Unwrap() error { return e.err }

// usage wraps err as a usage error that points to the help of the command.
func usage(cmd *cobra.Command, err error) error {
	return &usageError{command: cmd.CommandPath(), err: err}
}

// usageOfFlags wraps the error of a flag, and guesses which one was meant if it is unknown.
func usageOfFlags(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usage(cmd, err)
	}
	var names []string
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			names = append(names, flag.Name)
		}
	})
	return usage(cmd, fmt.Errorf("%w%s", err, suggest.Question(unknown.GetSpecifiedName(), "--", names)))
}

// knownCommand rejects arguments of the program itself, which are unknown commands, and guesses which one was
// meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return fmt.Errorf("%w%s", err, suggest.Question(args[0], "", names))
}

// usageArgs wraps an argument check; its errors become usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err != nil {
			return usage(cmd, err)
		}
		return nil
	}
}
