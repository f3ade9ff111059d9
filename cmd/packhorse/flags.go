package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/enroll"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/records"
	"packhorse/cmd/packhorse/suggest"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// evidenceFlags are the flags that locate the evidence and the ledger and keys to check it against.
type evidenceFlags struct {
	evidence.Options

	newest   bool           // take the newest of several packages
	require  []string       // as given on the command line
	required []verify.Check // checks that must not be skipped
}

// add registers the flags on a command that verifies.
func (f *evidenceFlags) add(cmd *cobra.Command) {
	f.addPlaces(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.PublicKeys, "pub", nil,
		"check signatures with the public keys in this `FILE` (PEM; repeatable)")
	flags.StringSliceVar(&f.require, "require", nil,
		"fail (exit 1) if one of these `CHECKS` was needed but could not be made: all, or a list such as version,lock")
}

// addPlaces registers the flags that say where archive and ledger are, and which of several packages is meant.
func (f *evidenceFlags) addPlaces(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.From, "from", "",
		"archive to read: `DIR|URL`, a copied folder or s3://BUCKET (default: the archive in the data directory)")
	flags.StringVar(&f.Data, "data", datafolder.Default, "data directory `DIR`, which holds the archive, ledger and keys")
	flags.StringVar(&f.Table, "ledger", "", "use the ledger in this DynamoDB `TABLE`")
	flags.StringVar(&f.Stack, "stack", "", "read the bucket and ledger of the deployed stack with this `NAME`")
	flags.StringVar(&f.Endpoint, "s3-endpoint", "", "`URL` of the S3-compatible service that holds the bucket")
	flags.BoolVar(&f.newest, "newest", false, "if the host or case has several packages, take the newest")
}

// check completes the options and rejects flags that contradict each other.
func (f *evidenceFlags) check(cmd *cobra.Command) error {
	f.DataGiven = cmd.Flags().Changed("data")
	if f.Stack != "" && (f.From != "" || f.Table != "" || f.DataGiven) {
		return usage(cmd, errors.New("--stack excludes --from, --ledger and --data"))
	}
	if f.Endpoint != "" && !f.InS3() {
		return usage(cmd, errors.New("--s3-endpoint requires --from s3://BUCKET"))
	}
	if bucket, _ := f.Bucket(); f.InS3() && bucket == "" {
		return usage(cmd, fmt.Errorf("--from %q lacks a bucket name: write s3://BUCKET", f.From))
	}
	for _, name := range f.require {
		check := verify.Check(name)
		switch {
		case name == "all":
			f.required = verify.Checks()
			return nil
		case !slices.Contains(verify.Checks(), check):
			return usage(cmd, fmt.Errorf("--require: unknown check %.40q: write all, or some of %s%s", name,
				strings.Join(checkNames(), ", "), suggest.Question(name, "", append(checkNames(), "all"))))
		}
		f.required = append(f.required, check)
	}
	return nil
}

func checkNames() (names []string) {
	for _, check := range verify.Checks() {
		names = append(names, string(check))
	}
	return names
}

// tenantFlag returns the id that the value of --tenant stands for: an id, or a name that is registered in the stack or
// the data directory that the other flags name. Empty stays empty.
func tenantFlag(cmd *cobra.Command, text string) (id string, err error) {
	if text == "" {
		return "", nil
	}
	id, notID := investigation.CanonicalID(text)
	if notID == nil {
		return id, nil
	}
	value := func(name string) string {
		if f := cmd.Flags().Lookup(name); f != nil {
			return f.Value.String()
		}
		return ""
	}
	if value("stack") == "" && value("ledger") != "" {
		return "", usage(cmd, fmt.Errorf("--tenant: %w, and a name is only known with --stack or --data", notID))
	}
	err = inPlace(cmd, at(enroll.Options{Stack: value("stack"), Data: value("data")}),
		func(ctx context.Context, place *enroll.Place) (err error) {
			id, err = place.ID(ctx, text)
			return err
		})
	_, none := errors.AsType[*enroll.NoRegistryError](err)
	missing, unknown := errors.AsType[*enroll.NotFoundError](err)
	switch {
	case unknown && missing.Near != "":
		err = usage(cmd, fmt.Errorf("--tenant: %w, and no registered name: did you mean %s?", notID, missing.Near))
	case none, unknown:
		err = usage(cmd, fmt.Errorf("--tenant: %w, and no registered name", notID))
	}
	return id, err
}

// timeFlags parses --since and --until into the filter; empty ones stay unset.
func timeFlags(cmd *cobra.Command, now time.Time, since, until string, filter *investigation.Filter) (err error) {
	for _, flag := range []struct {
		name, text string
		to         *time.Time
	}{{"since", since, &filter.Since}, {"until", until, &filter.Until}} {
		if flag.text == "" {
			continue
		}
		*flag.to, err = records.ParseTime(flag.text, now)
		if err != nil {
			return usage(cmd, fmt.Errorf("--%s: %w", flag.name, err))
		}
	}
	return nil
}
