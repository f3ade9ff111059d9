package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
)

func (m Main) publicKeyCommand() *cobra.Command {
	var o evidenceOptions
	var all bool
	cmd := &cobra.Command{
		Use:   "public-key",
		Short: "Print the public key that manifests are signed for",
		Long: `Public-key prints the public key whose private half signs manifests now, in PEM, as openssl and
packhorse verify --pub read it. Keep a copy somewhere else than the evidence: it is what shows later
that the signatures are yours. With --all it prints the earlier keys too, each under a line with its
id. With --from it prints what is published in an archive.`,
		Example: `  packhorse public-key > packhorse.pub.pem       the data folder's key
  packhorse public-key --all                     and every earlier one
  packhorse public-key --all --from s3://my-evidence`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.check(cmd)
			if err != nil {
				return err
			}
			return m.publicKey(cmd.Context(), o, all)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", dataDefault, "the data `DIR` with the keys")
	flags.StringVar(&o.from, "from", "", "print what is published in the archive at `DIR|URL`: a folder, or s3://BUCKET")
	flags.StringVar(&o.s3Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	flags.BoolVar(&all, "all", false, "print earlier keys too")
	return cmd
}

// publicKey is one `packhorse public-key`.
func (m Main) publicKey(ctx context.Context, o evidenceOptions, all bool) (err error) {
	trust, present, err := o.publicKeys(ctx)
	if err != nil {
		return err
	}
	ids := trust.IDs()
	if present == "" && len(ids) == 1 {
		present = ids[0]
	}
	var text []byte
	switch {
	case all:
		text, err = trust.PEM(present)
	case present == "":
		return fmt.Errorf("%w: there are %d; print them with --all", errWhichKey, len(ids))
	default:
		text, err = trust.One(present)
	}
	if err != nil {
		return err
	}
	_, err = m.Stdout.Write(text)
	return err
}

var errWhichKey = errors.New("it cannot be told which key signs now")

// noKeyError says that there is no key where one was looked for.
type noKeyError struct{ where string }

func (e *noKeyError) Error() string { return fmt.Sprintf("there is no signing key in %s", e.where) }

// publicKeys reads the keys, and which of them signs now, where that is known.
func (o *evidenceOptions) publicKeys(ctx context.Context) (_ verify.Trust, present string, err error) {
	if o.from == "" {
		data, err := filepath.Abs(o.data)
		if err != nil {
			return verify.Trust{}, "", fmt.Errorf("find the data folder: %w", err)
		}
		trust, present, err := source.TrustData(data)
		if err == nil && trust.Empty() {
			err = &noKeyError{o.data}
		}
		return trust, present, err
	}
	e := &evidence{}
	defer func() { err = errors.Join(err, e.close()) }()
	if o.inS3() {
		err = o.openBucket(ctx, e)
	} else {
		err = o.openFolder(ctx, e)
	}
	if err != nil {
		return verify.Trust{}, "", err
	}
	trust, findings, err := verify.TrustArchive(ctx, e.archive)
	findings = slices.DeleteFunc(findings, func(f verify.Finding) bool { return f.Kind == verify.KindStranger })
	switch {
	case err != nil:
		return verify.Trust{}, "", err
	case len(findings) > 0:
		return verify.Trust{}, "", &mismatchError{findings[0]}
	case trust.Empty():
		return verify.Trust{}, "", &noKeyError{o.from}
	}
	return trust, "", nil
}
