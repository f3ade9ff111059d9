package main

import "github.com/spf13/cobra"

// credentialsTopic is the help page of the three ways to prove which app asks for a token.
func credentialsTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "credentials",
		Short: "The three ways the app proves who it is, and what each needs",
		Long: `Packhorse asks Microsoft Entra ID for a token about once an hour, as the app registration in your tenant.
DEFENDER_CREDENTIAL says how the app proves who it is. Without it, what else is set decides; if that is
two kinds at once, Packhorse stops and names both.

federated: nothing is stored; AWS vouches for an IAM role that the app registration trusts.

  DEFENDER_CREDENTIAL=federated
  DEFENDER_IDENTITY_ROLE          the role; without it, your own AWS identity

certificate: a private key signs; it can stay in KMS.

  DEFENDER_CERTIFICATE_FILE       a PEM file with the certificate and its private key
  DEFENDER_CERTIFICATE_SECRET_ID  the same in Secrets Manager
  DEFENDER_CERTIFICATE_KEY_ID     a KMS key, and in
  DEFENDER_CERTIFICATE_PEM        its certificate

secret: what Entra ID calls a client secret.

  DEFENDER_CLIENT_SECRET          its value, or JSON with client_secret, expires and previous
  DEFENDER_SECRET_ID              the same in Secrets Manager

A certificate or a secret with a date warns you 30 days before it expires. While you replace one,
Packhorse tries the new one first and the old one if Entra ID refuses it. docs/credentials.md leads from
nothing to a first token, for each kind.`,
		Example: `  packhorse help credentials
  packhorse credential certificate --kms-key KEY_ID --out cert.pem`,
	}
}
