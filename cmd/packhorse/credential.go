package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/awsconfig"
	"packhorse/cmd/packhorse/console"
	"packhorse/internal/entra"
)

// certificateOptions are the flags of `packhorse credential certificate`.
type certificateOptions struct {
	key, out, name string
	days           int
}

// daysMax is the longest a certificate may be valid: two years, as Microsoft advises at most.
const daysMax = 730

func credentialCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential",
		Short: "Make what the app proves itself with",
		Long: `Credential makes what the app registration proves itself with to Entra ID. docs/credentials.md has the three ways
from nothing to a first token: a federated identity, a certificate, and a client secret.`,
		Example: `  packhorse credential certificate --kms-key alias/packhorse-defender --out cert.pem`,
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(certificateCommand())
	return cmd
}

func certificateCommand() *cobra.Command {
	var o certificateOptions
	cmd := &cobra.Command{
		Use:   "certificate",
		Short: "Make a certificate for a key in KMS",
		Long: `Certificate makes a self-signed certificate for an RSA key in KMS. The private key never leaves KMS: KMS signs the
certificate, and later each request for a token. Upload the certificate to the app registration, and set
DEFENDER_CERTIFICATE_KEY_ID and DEFENDER_CERTIFICATE_PEM.

To replace a certificate without a gap, make the new one, upload it beside the old one, and put both into
DEFENDER_CERTIFICATE_PEM; remove the old one later. It needs kms:GetPublicKey and kms:Sign on the key.`,
		Example: `  aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY
  packhorse credential certificate --kms-key KEY_ID --out cert.pem
  packhorse credential certificate --kms-key KEY_ID --days 90 --out new.pem`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.key == "":
				return usage(cmd, errors.New("--kms-key is required: the id, ARN or alias of an RSA key in KMS"))
			case o.out == "":
				return usage(cmd, errors.New("--out is required: the file to write the certificate to"))
			case o.days < 1 || o.days > daysMax:
				return usage(cmd, fmt.Errorf("--days %d: write 1 to %d", o.days, daysMax))
			}
			return makeCertificate(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.key, "kms-key", "", "the KMS key, by its `ID`, ARN or alias")
	flags.StringVar(&o.out, "out", "", "write the certificate to this new `FILE` (PEM)")
	flags.StringVar(&o.name, "name", "packhorse", "the certificate's common `NAME`")
	flags.IntVar(&o.days, "days", 365, "valid for this number of `DAYS`")
	return cmd
}

// makeCertificate runs `packhorse credential certificate`.
func makeCertificate(cmd *cobra.Command, o certificateOptions) error {
	cfg, err := awsconfig.Load(cmd.Context(), "the key")
	if err != nil {
		return err
	}
	now := time.Now()
	made, err := entra.NewKMSKey(kms.NewFromConfig(cfg), o.key).SelfSigned(cmd.Context(), o.name, now,
		now.AddDate(0, 0, o.days))
	if err != nil {
		return err
	}
	err = writeNew(o.out, made.PEM)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), `certificate   %s
thumbprint    %s
valid until   %s

Next: upload %[1]s to the app registration (Certificates & secrets, Certificates), then set
  DEFENDER_CREDENTIAL=certificate
  DEFENDER_CERTIFICATE_KEY_ID=%[4]s
  DEFENDER_CERTIFICATE_PEM="$(cat %[1]s)"
`, console.ShellQuote(o.out), made.Thumbprint, made.Expires.UTC().Format(time.DateOnly), console.ShellQuote(o.key))
	return nil
}

// writeNew writes a file that does not exist yet. A failed write leaves none behind.
func writeNew(path string, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // a certificate is public
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s already exists: choose another name with --out", path)
	}
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return nil
}
