package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/report"
	"packhorse/internal/verify"
)

func custodyCommand() *cobra.Command {
	var o evidenceFlags
	var html string
	cmd := &cobra.Command{
		Use:   "custody KEY",
		Short: "Report on one package, so that a lawyer can read it",
		Long: `Custody verifies one package and writes a report on it: what it is, who asked for it and why, how it
was collected, where it is kept, what signs for it, the result of verifying it just now, and how to
check all that without Packhorse. The text goes to standard output; --html writes the same as one
page that prints well and needs nothing else.

Verdict and exit code are those of packhorse verify (see packhorse verify --help), for this one package.
Where its manifest cannot be read, the report says what the ledger knows of it.

KEY is the key of a package, of a manifest of what was not collected, or of what is in quarantine; or
the file's path. packhorse list shows the keys.`,
		Example: `  packhorse custody packages/TENANT/MACHINE/TIME_ACTION.zip --html report.html
  packhorse custody not-collected/TENANT/MACHINE/TIME_ACTION.json --from s3://my-evidence --pub key.pem`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := o.check(cmd)
			if err != nil {
				return err
			}
			return reportCustody(cmd, o, args, html)
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&html, "html", "", "write the report as a page into this `FILE` too")
	return cmd
}

// reportCustody is one `packhorse custody`.
func reportCustody(cmd *cobra.Command, o evidenceFlags, args []string, page string) error {
	summary, _, err := verifyOnce(cmd, o, verify.Scope{}, args, console.Quiet{})
	if err != nil {
		return err
	}
	verdict := verdictOf(summary, o.required)
	r, err := report.New(summary, summary.Scope.Key)
	if err != nil {
		return cmp.Or(verdict, err) // the verdict says more
	}
	err = r.Text(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	if page != "" {
		err = writePage(page, r)
		if err != nil {
			return err
		}
	}
	return verdict
}

const pageMode = 0o600 // it names hosts and people

func writePage(path string, r report.Report) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, pageMode) //nolint:gosec // the user's choice
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	err = r.HTML(file)
	if err != nil {
		return fmt.Errorf("write the page %s: %w", path, err)
	}
	return nil
}
