package main

import (
	"errors"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/verify"
)

func verifyCommand() *cobra.Command {
	var o evidenceFlags
	var scope verify.Scope
	var all, json bool
	cmd := &cobra.Command{
		Use:   "verify [KEY]",
		Short: "Check that the evidence is what was collected, and all of it",
		Long: `Verify reads every object of an archive again and holds it against its manifest, the manifest
against its signature, each tenant's manifests against the chain they make, and all of it against the
ledger. Versions and locks are checked where the archive is a bucket. Everything is looked at, and
everything that does not agree is named; nothing is changed and nothing is unpacked.

Without --from the archive is the data folder's, with its ledger and its keys. --from takes a folder
that was copied from an archive (no AWS and no ledger needed), or a bucket, which is read with your
AWS configuration; --ledger then names the DynamoDB table.

Signatures are checked with the keys of --pub, else with the data folder's. If there are neither, the
keys that lie in the archive itself are taken, and the output says so: whoever could write there
could have put them there.

Verdicts and exit codes:

  PASS     0  everything that the manifests call for was checked, and agrees
  FAIL     1  something does not agree
  EMPTY    1  there is nothing of the kind
           2  the command line cannot be understood
  PARTIAL  3  what was checked agrees, and some of it could not be checked: a copy has no versions and
              locks, without a ledger the end of a chain is not known
  PARTIAL  4  the same, and only the archive itself vouches for the keys

--require turns a PARTIAL into a failure (exit 1) if one of the named checks was not made.`,
		Example: `  packhorse verify                               the data folder's archive, all of it
  packhorse verify --from /mnt/copy --pub key.pem  a copied folder, offline
  packhorse verify --from s3://my-evidence --ledger packhorse-ledger --pub key.pem
  packhorse verify --from /mnt/copy --pub key.pem --require signature,object,chain
  packhorse verify --tenant 7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11
  packhorse verify --json | jq 'select(.event == "mismatch")'`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if n := len(args); n > 0 && (all || scope.TenantID != "") || all && scope.TenantID != "" {
				return usage(cmd, errors.New("KEY, --tenant and --all exclude one another"))
			}
			scope.TenantID, err = tenantFlag(cmd, scope.TenantID)
			if err == nil {
				err = o.check(cmd)
			}
			if err != nil {
				return err
			}
			return verifyEvidence(cmd, o, scope, args, json)
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&scope.TenantID, "tenant", "", "verify one tenant's evidence, by its `ID`")
	cmd.Flags().BoolVar(&all, "all", false, "verify everything (the default)")
	cmd.Flags().BoolVar(&json, "json", false, "write one JSON object a line to standard output")
	return cmd
}

// verifyEvidence is one `packhorse verify`.
func verifyEvidence(cmd *cobra.Command, o evidenceFlags, scope verify.Scope, args []string, json bool) error {
	screen := openVerifyScreen(cmd, json)
	defer screen.close()
	summary, ledger, err := verifyOnce(cmd, o, scope, args, screen.reporter)
	screen.close()
	if err != nil {
		return err
	}
	err = screen.show(console.Verification{Summary: summary, Ledger: ledger})
	if err != nil {
		return err
	}
	return verdictOf(summary, o.required)
}

// verifyOnce opens the evidence, verifies it, and closes it. It also returns what people call the ledger.
func verifyOnce(cmd *cobra.Command, o evidenceFlags, scope verify.Scope, args []string,
	reporter verify.Reporter,
) (_ verify.Summary, ledger string, err error) {
	e, err := evidence.Open(cmd.Context(), o.Options)
	if err != nil {
		return verify.Summary{}, "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if len(args) > 0 {
		scope.Key, err = e.Key(args[0])
		if err != nil {
			return verify.Summary{}, "", usage(cmd, err)
		}
	}
	summary, err := e.Verify(cmd.Context(), scope, reporter)
	return summary, e.LedgerName(), err
}
