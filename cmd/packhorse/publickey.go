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
			return printPublicKey(cmd, o, all)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Data, "data", datafolder.Default, "the data `DIR` with the keys")
	flags.StringVar(&o.From, "from", "", "print what is published in the archive at `DIR|URL`: a folder, or s3://BUCKET")
	flags.StringVar(&o.Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	flags.BoolVar(&all, "all", false, "print earlier keys too")
	return cmd
}

// printPublicKey is one `packhorse public-key`.
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
		return fmt.Errorf("%w: there are %d; print them with --all", errWhichKey, len(ids))
	default:
		text, err = keys.One(present)
	}
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

var errWhichKey = errors.New("it cannot be told which key signs now")
