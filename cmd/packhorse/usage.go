package main

import (
	"fmt"

	"github.com/spf13/cobra"
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
