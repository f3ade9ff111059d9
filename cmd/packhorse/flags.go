package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// evidenceFlags are the flags that say where the evidence is, and what it is compared with.
type evidenceFlags struct {
	evidence.Options

	require  []string       // as written
	required []verify.Check // checks that have to be made
}

// add adds the flags to a command that verifies.
func (f *evidenceFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.From, "from", "",
		"`DIR|URL` of the archive: a copied folder, or s3://BUCKET (default: the data folder's)")
	flags.StringArrayVar(&f.PublicKeys, "pub", nil,
		"check signatures with the public keys in this `FILE` (PEM; can be given again)")
	flags.StringVar(&f.Data, "data", datafolder.Default, "the data `DIR`, with archive, ledger and keys")
	flags.StringVar(&f.Table, "ledger", "", "compare with this DynamoDB `TABLE`")
	flags.StringVar(&f.Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	flags.StringSliceVar(&f.require, "require", nil,
		"fail (exit 1) if one of these `CHECKS` was called for and could not be made: all, or a list such as version,lock")
}

// check completes the options and finds what does not go together.
func (f *evidenceFlags) check(cmd *cobra.Command) error {
	f.DataGiven = cmd.Flags().Changed("data")
	if f.Endpoint != "" && !f.InS3() {
		return usage(cmd, errors.New("--s3-endpoint goes with --from s3://…"))
	}
	if bucket, _ := f.Bucket(); f.InS3() && bucket == "" {
		return usage(cmd, fmt.Errorf("--from %q names no bucket: write s3://BUCKET", f.From))
	}
	for _, name := range f.require {
		check := verify.Check(name)
		switch {
		case name == "all":
			f.required = verify.Checks()
			return nil
		case !slices.Contains(verify.Checks(), check):
			return usage(cmd, fmt.Errorf("--require: unknown check %.40q: write all, or some of %s", name, checkNames()))
		}
		f.required = append(f.required, check)
	}
	return nil
}

func checkNames() string {
	var names []string
	for _, check := range verify.Checks() {
		names = append(names, string(check))
	}
	return strings.Join(names, ", ")
}

// tenantFlag reads a tenant's id.
func tenantFlag(cmd *cobra.Command, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	canonical, err := investigation.CanonicalID(id)
	if err != nil {
		return "", usage(cmd, fmt.Errorf("--tenant: %w", err))
	}
	return canonical, nil
}
