package main

import (
	"errors"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
	"packhorse/internal/verify"
)

func verifyCommand(environ []string) *cobra.Command {
	var o evidenceFlags
	var all, json bool
	cmd := &cobra.Command{
		Use:   "verify [PACKAGE]",
		Short: "Check that the evidence is unchanged and complete",
		Long: `Verify rereads every object in an archive and compares it with its manifest, the manifest with its
signature, each tenant's manifests with the chain they form, and everything with the ledger. If the
archive is a bucket, it also checks versions and locks. Verify checks everything and reports every
mismatch. It changes nothing and unpacks nothing.

PACKAGE limits it to one package: an action id or its beginning, a host, a case, or the key, s3:// URL or
path of a file in the archive. --tenant limits it to one tenant.

Without --from, verify reads the archive, ledger and keys in the data directory. --from takes a folder
copied from an archive, which needs neither AWS nor a ledger, or a bucket, which is read with your AWS
configuration; name the DynamoDB table with --ledger.

Signatures are checked with the --pub keys, or else with the keys in the data directory. If neither
exists, verify uses the keys in the archive itself and says so: anyone who can write to the archive
could have put them there.

Verdicts and exit codes:

  PASS     0  everything the manifests call for was checked, and agrees
  FAIL     1  something does not agree
  EMPTY    1  nothing to verify
           2  invalid command line
  PARTIAL  3  everything checked agrees, but some checks could not be made: a copy lacks versions and
              locks, and without a ledger the end of a chain is unknown
  PARTIAL  4  like 3, and only the archive itself vouches for the keys

--require turns PARTIAL into a failure (exit 1) if a named check could not be made.`,
		Example: `  packhorse verify                               everything in the data directory
  packhorse verify 3f2a81c0                      one package, by its id
  packhorse verify --from /mnt/copy --pub key.pem  a copied folder, offline
  packhorse verify --from s3://my-evidence --ledger packhorse-ledger --pub key.pem
  packhorse verify --from /mnt/copy --pub key.pem --require signature,object,chain
  packhorse verify --json | jq 'select(.event == "mismatch")'`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all && (len(args) > 0 || o.TenantID != "") {
				return usage(cmd, errors.New("--all and PACKAGE or --tenant are mutually exclusive"))
			}
			scope, err := o.scope(cmd, args)
			if err != nil {
				return err
			}
			return verifyEvidence(cmd, o, scope, args, openVerifyScreen(cmd, environ, json))
		},
	}
	o.add(cmd)
	cmd.Flags().StringVar(&o.TenantID, "tenant", "", "verify only the tenant with this `ID|NAME`, or find only packages of it")
	cmd.Flags().BoolVar(&all, "all", false, "verify everything (the default)")
	cmd.Flags().BoolVar(&json, "json", false, "write one JSON object per line to standard output")
	completeFor(cmd)
	return cmd
}

// scope checks the flags, and returns what to verify: everything, a tenant, or the package that will be found.
func (f *evidenceFlags) scope(cmd *cobra.Command, args []string) (scope verify.Scope, err error) {
	f.TenantID, err = tenantFlag(cmd, f.TenantID)
	if err == nil {
		err = f.check(cmd)
	}
	if len(args) == 0 {
		scope.TenantID = f.TenantID
	}
	return scope, err
}

// verifyEvidence runs `packhorse verify`.
func verifyEvidence(cmd *cobra.Command, o evidenceFlags, scope verify.Scope, args []string,
	screen verifyScreen,
) error {
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

// verifyOnce opens the evidence, verifies it and closes it. It also returns the ledger's display name.
func verifyOnce(cmd *cobra.Command, o evidenceFlags, scope verify.Scope, args []string,
	reporter verify.Reporter,
) (_ verify.Summary, ledger string, err error) {
	err = o.Resolve(cmd.Context())
	if err != nil {
		return verify.Summary{}, "", err
	}
	e, err := evidence.Open(cmd.Context(), o.Options)
	if err != nil {
		return verify.Summary{}, "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if len(args) > 0 {
		scope.Key, err = e.Key(cmd.Context(), find.Query{
			Text: args[0], TenantID: o.TenantID, Newest: o.newest, Command: cmd.CommandPath(),
		})
		if notKey, ok := errors.AsType[*evidence.NoSuchKeyError](err); ok {
			err = usage(cmd, notKey)
		}
		if err != nil {
			return verify.Summary{}, "", err
		}
	}
	summary, err := e.Verify(cmd.Context(), scope, reporter)
	return summary, e.LedgerName(), err
}
