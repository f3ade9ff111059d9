package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
)

func publicKeyCommand() *cobra.Command {
	var o evidenceFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "public-key",
		Short: "Print the public key that verifies manifests",
		Long: `Public-key prints the public half of the current signing key in PEM, the format that openssl and
packhorse verify --pub read. Keep a copy away from the evidence: it proves later that the signatures
are yours. With --all it also prints the earlier keys, each under a line with its id. With --from it
prints the keys published in an archive.`,
		Example: `  packhorse public-key > packhorse.pub.pem       the data folder's key
  packhorse public-key --all                     and every earlier one
  packhorse public-key --all --from s3://my-evidence`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.check(cmd)
			if err != nil {
				return err
			}
			return printPublicKey(cmd, o, all)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Data, "data", datafolder.Default, "data directory `DIR`, which holds the keys")
	flags.StringVar(&o.From, "from", "", "print the keys published in the archive at `DIR|URL`, a folder or s3://BUCKET")
	flags.StringVar(&o.Endpoint, "s3-endpoint", "", "`URL` of the S3-compatible service that holds the bucket")
	flags.BoolVar(&all, "all", false, "print earlier keys too")
	return cmd
}

// printPublicKey runs `packhorse public-key`.
func printPublicKey(cmd *cobra.Command, o evidenceFlags, all bool) error {
	keys, present, err := evidence.PublicKeys(cmd.Context(), o.Options)
	if err != nil {
		return err
	}
	ids := keys.IDs()
	if present == "" && len(ids) == 1 {
		present = ids[0]
	}
	var text []byte
	switch {
	case all:
		text, err = keys.PEM(present)
	case present == "":
		return fmt.Errorf("%w: found %d keys; print them all with --all", errWhichKey, len(ids))
	default:
		text, err = keys.One(present)
	}
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

var errWhichKey = errors.New("cannot tell which key is the current one")
