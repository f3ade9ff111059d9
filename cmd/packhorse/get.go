package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
	"packhorse/cmd/packhorse/take"
	"packhorse/internal/verify"
)

// getOptions are the flags of `packhorse get`.
type getOptions struct {
	evidenceFlags

	name string // of the package
	out  string // the folder
	json bool
}

func getCommand(environ []string) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get PACKAGE -o DIR",
		Short: "Copy one package out of the archive, verified, with its signed record",
		Long: `Get copies a package into a folder, in the exact version that its signed record names, with that record
(the manifest), the signature and the public key. It verifies while it copies: the package gets its
name only after its SHA-256, size and CRC-32C agreed with the manifest, and the signature with a key.
If anything fails, or you interrupt it, no file with that name appears. Nothing is ever overwritten;
an identical file may exist.

PACKAGE is an action id or its beginning, a host, a case, or the key, s3:// URL or path of a file in
the archive. For an action without a package, get copies the signed record of that.

Files are named HOST_CREATED_ID.zip, with .json and .json.sig, and KEYID.pem for the public key. Only
letters, digits, dots and hyphens of a host's name are kept.

The verdict and exit code are those of packhorse verify for this one package (see packhorse verify
--help). On PARTIAL the files are there: what could be checked agrees. Treat packages as hostile.`,
		Example: `  packhorse get 3f2a81c0 -o ~/cases/INC-4711
  packhorse get fin-ws-17 --newest -o .
  packhorse get 3f2a81c0 -o . --stack packhorse --pub key.pem
  packhorse get packages/TENANT/MACHINE/TIME_ACTION.zip -o . --from s3://my-evidence`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			err := o.take(cmd)
			if err != nil {
				return err
			}
			return getPackage(cmd, o, openVerifyScreen(cmd, environ, o.json))
		},
	}
	o.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&o.out, "output", "o", "", "copy into this folder `DIR`, which is made if it does not exist (required)")
	flags.StringVar(&o.TenantID, "tenant", "", "find only packages of the tenant with this `ID|NAME`")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line to standard output")
	completeFor(cmd)
	return cmd
}

var (
	errNoFolder = errors.New("name the folder to copy into: -o DIR")
	errNoStream = errors.New("-o - is not possible: a package must be verified to its end before anybody may use a byte of it; " +
		"name a folder with -o DIR, then read the file")
)

// take completes the options and rejects flags that contradict each other.
func (o *getOptions) take(cmd *cobra.Command) (err error) {
	err = o.check(cmd)
	if err == nil {
		o.TenantID, err = tenantFlag(cmd, o.TenantID)
	}
	if err != nil {
		return err
	}
	o.out, err = outputFlag(cmd, o.out, errNoFolder)
	return err
}

// outputFlag returns the absolute path that -o names. Opening an archive may change the working directory.
func outputFlag(cmd *cobra.Command, path string, missing error) (string, error) {
	switch path {
	case "":
		return "", usage(cmd, missing)
	case "-":
		return "", usage(cmd, errNoStream)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", path, err)
	}
	return absolute, nil
}

// getPackage runs `packhorse get`.
func getPackage(cmd *cobra.Command, o getOptions, screen verifyScreen) error {
	defer screen.close()
	result, ledger, err := getOnce(cmd, o, screen.reporter)
	screen.close()
	if err != nil {
		return err
	}
	switch {
	case o.json:
		err = result.JSON(cmd.OutOrStdout(), o.out, time.Now())
	case len(result.Files) == 0:
		err = screen.show(console.Verification{Summary: result.Summary, Ledger: ledger})
	default:
		err = result.Table(cmd.OutOrStdout(), o.out)
	}
	if err != nil {
		return err
	}
	verdict := verdictOf(result.Summary, o.required)
	if len(result.Files) == 0 {
		return &notTakenError{verdict}
	}
	return verdict
}

// getOnce opens the evidence, copies from it and closes it. It also returns the ledger's display name.
func getOnce(cmd *cobra.Command, o getOptions, reporter verify.Reporter) (_ take.Result, ledger string, err error) {
	ctx := cmd.Context()
	err = o.Resolve(ctx)
	if err != nil {
		return take.Result{}, "", err
	}
	e, err := evidence.Open(ctx, o.Options)
	if err != nil {
		return take.Result{}, "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	key, err := e.Key(ctx, find.Query{
		Text: o.name, TenantID: o.TenantID, Newest: o.newest, Command: cmd.CommandPath() + " -o " + console.ShellQuote(o.out),
	})
	if _, ok := errors.AsType[*evidence.NoSuchKeyError](err); ok {
		return take.Result{}, "", usage(cmd, err)
	}
	if err != nil {
		return take.Result{}, "", err
	}
	result, err := take.One(ctx, take.Source{Verify: e.VerifyThrough, PEM: e.PEM, Require: o.required}, key,
		take.Folder{Disk: take.OS{}, Path: o.out}, reporter)
	return result, e.LedgerName(), err
}

// notTakenError is the verdict on a package that was not copied. Exit codes 3 and 4 would say that it was.
type notTakenError struct{ verdict error }

func (e *notTakenError) Error() string {
	if e.verdict == nil {
		return "nothing was copied: the package is being stored right now"
	}
	return e.verdict.Error() + "; nothing was copied"
}

// Advice says what to do about it.
func (e *notTakenError) Advice() string {
	if e.verdict == nil {
		return "run the same command again in a minute"
	}
	if v, ok := errors.AsType[*verdictError](e.verdict); ok && v.advice != "" {
		return v.advice
	}
	return "packhorse verify with the same package and flags shows every finding"
}
