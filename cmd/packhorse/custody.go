package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
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
		Use:   "custody PACKAGE",
		Short: "Report on one package in words a lawyer can read",
		Long: `Custody verifies one package and reports on it: what the package is, who requested it and why, how it
was collected, where it is stored, which key signed its record, the result of verifying it just now,
and how to check all of that without Packhorse. The report goes to standard output as text; --html
also writes it as a single, self-contained page for printing.

The verdict and exit code are those of packhorse verify for this one package (see packhorse verify
--help). If the manifest cannot be read, the report shows what the ledger recorded instead.

PACKAGE is an action id or its beginning, a host, a case, or the key, s3:// URL or path of a file in the
archive: of a package, a manifest, a signature or a quarantined object. Without a ledger, only keys, URLs
and paths are found.`,
		Example: `  packhorse custody 3f2a81c0
  packhorse custody fin-ws-17 --newest
  packhorse custody packages/TENANT/MACHINE/TIME_ACTION.zip --html report.html
  packhorse custody not-collected/TENANT/MACHINE/TIME_ACTION.json --from s3://my-evidence --pub key.pem`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := o.check(cmd)
			if err == nil {
				o.TenantID, err = tenantFlag(cmd, o.TenantID)
			}
			if err != nil {
				return err
			}
			return reportCustody(cmd, o, args, html)
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.TenantID, "tenant", "", "find only packages of the tenant with this `ID|NAME`")
	cmd.Flags().StringVar(&html, "html", "", "also write the report as an HTML page to this `FILE`")
	completeFor(cmd)
	return cmd
}

// reportCustody runs `packhorse custody`.
func reportCustody(cmd *cobra.Command, o evidenceFlags, args []string, page string) error {
	summary, _, err := verifyOnce(cmd, o, verify.Scope{}, args, console.Quiet{})
	if err != nil {
		return err
	}
	verdict := verdictOf(summary, o.required)
	r, err := report.New(summary, summary.Scope.Key)
	if err != nil {
		return cmp.Or(verdict, err) // the verdict explains more than the missing report does
	}
	var text bytes.Buffer
	err = r.Text(&text)
	if err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), console.Fit(text.String(), widthOf(cmd.OutOrStdout())))
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

const pageMode = 0o600 // the page names hosts and people

func writePage(path string, r report.Report) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, pageMode) //nolint:gosec // the user's choice
	if err != nil {
		return fmt.Errorf("write the HTML report: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	err = r.HTML(file)
	if err != nil {
		return fmt.Errorf("write the HTML report %s: %w", path, err)
	}
	return nil
}
