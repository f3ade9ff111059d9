package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/enroll"
	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// tenantAddOptions are the flags of `packhorse tenant add`.
type tenantAddOptions struct {
	tenantFlags

	entry                           tenant.Tenant
	secretFile, caFile, certPEMFile string
	replace, noCheck                bool
}

func tenantAddCommand(environ []string) *cobra.Command {
	o := tenantAddOptions{tenantFlags: newTenantFlags(environ)}
	cmd := &cobra.Command{
		Use:   "add TENANT_ID",
		Short: "Register a tenant",
		Long: `Add registers a tenant. It validates everything, asks Entra ID for a token and Defender for the tenant's actions,
and stores the entry only if both answer; otherwise it says what is missing, such as an administrator's consent.
--no-check registers it without asking.

What you leave out is inherited: from the stack, or from the environment on one machine. With an app for all
tenants, the id and a name suffice. An app of the tenant's own needs --client-id and a credential:

  --credential federated     AWS vouches for a role (--identity-role, or the stack's); nothing is stored
  --credential certificate   --certificate-file (one machine), --certificate-secret-id, or
                             --certificate-key-id with --certificate-pem-file
  --secret-file FILE         a client secret. It is stored: in Secrets Manager, under the name of the registry's
                             table, where the functions may read it; on one machine in the data directory, with
                             mode 0600. "-" reads it from standard input
  --secret-id ID             a client secret that you have stored in Secrets Manager yourself

No secret is ever an argument. With --secret-id, --certificate-secret-id, --certificate-key-id and --identity-role
the roles of the stack's functions must be allowed to use what you name.`,
		Example: `  packhorse tenant add TENANT_ID --name Contoso --stack packhorse
  packhorse tenant add TENANT_ID --name Fabrikam --client-id CLIENT_ID --secret-file secret.txt
  packhorse tenant add TENANT_ID --name Agency --client-id CLIENT_ID --cloud gcc-high \
      --credential certificate --certificate-key-id KEY_ID --certificate-pem-file cert.pem
  packhorse tenant add TENANT_ID --name Contoso --per-minute 1 --replace`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := o.take(cmd, args[0])
			if err != nil {
				return err
			}
			return addTenant(cmd, o)
		},
	}
	o.add(cmd)
	o.addApp(cmd)
	o.addLimits(cmd)
	return cmd
}

func (o *tenantAddOptions) addApp(cmd *cobra.Command) {
	flags, t, c := cmd.Flags(), &o.entry, &o.entry.Credential
	flags.StringVar(&t.Name, "name", "", "what people call the tenant: a `NAME` that no other tenant has")
	flags.StringVar(&t.ClientID, "client-id", "", "client `ID` of the tenant's own app registration")
	flags.StringVar((*string)(&c.Kind), "credential", "", "how that app proves who it is: `KIND` federated, certificate or secret")
	flags.StringVar(&c.IdentityRole, "identity-role", "", "`ARN` of the IAM role that AWS vouches for")
	flags.StringVar(&c.CertificateFile, "certificate-file", "", "PEM `FILE` with a certificate and its key, which stays where it is (one machine only)")
	flags.StringVar(&c.CertificateSecretID, "certificate-secret-id", "", "`ID` of a secret in Secrets Manager with the same")
	flags.StringVar(&c.CertificateKeyID, "certificate-key-id", "", "`ID` of the certificate's key in KMS")
	flags.StringVar(&o.certPEMFile, "certificate-pem-file", "", "PEM `FILE` with that key's certificate")
	flags.StringVar(&c.SecretID, "secret-id", "", "`ID` of a secret in Secrets Manager with the client secret")
	flags.StringVar(&o.secretFile, "secret-file", "", "store the client secret in this `FILE`, or - for standard input")
	flags.StringVar(&t.Cloud, "cloud", "", "Microsoft `CLOUD` of the tenant: commercial, gcc, gcc-high or dod")
	flags.StringVar(&t.APIURL, "api-url", "", "root `URL` of Defender's API, such as a region's host")
	flags.StringVar(&t.AuthorityURL, "authority-url", "", "root `URL` of Microsoft Entra ID")
	flags.StringVar(&t.Scope, "scope", "", "`SCOPE` of the access token")
	flags.StringVar(&t.LinkHosts, "link-hosts", "", "the only `HOSTS` that packages are downloaded from, a comma list")
	flags.StringVar(&o.caFile, "ca-file", "", "`FILE` with extra root certificates (PEM)")
	flags.BoolVar(&o.replace, "replace", false, "replace the entry of a registered tenant; its state stays")
	flags.BoolVar(&o.noCheck, "no-check", false, "do not ask Entra ID and Defender first")
}

func (o *tenantAddOptions) addLimits(cmd *cobra.Command) {
	flags, t := cmd.Flags(), &o.entry
	flags.IntVar(&t.PerMinute, "per-minute", 0, "package links a minute, at most 2: `N` (default: inherited)")
	flags.IntVar(&t.PerHour, "per-hour", 0, "package links an hour, at most 120: `N` (default: inherited)")
	flags.DurationVar(&t.Lookback, "lookback", 0, "how far back a sweep lists, such as 168h: `DURATION` (default: inherited)")
	flags.StringVar(&t.CasePattern, "case-pattern", "", "`REGEXP` (RE2) that finds the case id in a comment")
	flags.StringVar(&t.Bucket, "bucket", "", "`NAME` of the tenant's own evidence bucket")
	flags.StringVar(&t.Prefix, "prefix", "", "`PREFIX` of the tenant's packages in the bucket, ending in a slash")
	flags.StringVar(&t.LockMode, "lock-mode", "", "`MODE` of the locks: GOVERNANCE, COMPLIANCE or NONE")
	flags.IntVar(&t.LockDays, "lock-days", 0, "how many `DAYS` objects are locked (default: inherited)")
	flags.StringVar(&t.LegalHold, "legal-hold", "", "whether objects get a legal hold: `BOOL` true or false")
}

// take completes the entry.
func (o *tenantAddOptions) take(cmd *cobra.Command, id string) error {
	err := o.check(cmd)
	if err != nil {
		return err
	}
	o.entry.ID, err = investigation.CanonicalID(id)
	if err == nil && o.entry.ClientID != "" {
		o.entry.ClientID, err = investigation.CanonicalID(o.entry.ClientID)
	}
	c := &o.entry.Credential
	switch {
	case err != nil:
		return usage(cmd, err)
	case o.secretFile != "" && (c.SecretID != "" || c.CertificateFile != "" || c.CertificateSecretID != "" ||
		c.CertificateKeyID != "" || c.Kind != "" && c.Kind != tenant.ClientSecret):
		return usage(cmd, errors.New("--secret-file excludes every other credential"))
	case c.Kind == "" && (c.SecretID != "" || o.secretFile != ""):
		c.Kind = tenant.ClientSecret
	case c.Kind == "" && (c.CertificateFile != "" || c.CertificateSecretID != "" || c.CertificateKeyID != ""):
		c.Kind = tenant.Certificate
	case c.Kind == "" && c.IdentityRole != "":
		c.Kind = tenant.Federated
	}
	if c.CertificateFile != "" {
		c.CertificateFile, err = filepath.Abs(c.CertificateFile)
		if err != nil {
			return err
		}
	}
	for _, file := range []struct {
		flag, path string
		to         *string
	}{{"ca-file", o.caFile, &o.entry.CAPEM}, {"certificate-pem-file", o.certPEMFile, &c.CertificatePEM}} {
		if file.path == "" {
			continue
		}
		text, err := os.ReadFile(file.path)
		if err != nil {
			return usage(cmd, fmt.Errorf("--%s: %w", file.flag, err))
		}
		*file.to = string(text)
	}
	return nil
}

// addTenant runs `packhorse tenant add`.
func addTenant(cmd *cobra.Command, o tenantAddOptions) error {
	n := enroll.New{Tenant: o.entry, Replace: o.replace, Unasked: o.noCheck}
	if o.secretFile != "" {
		var err error
		n.Secret, err = enroll.ReadSecret(cmd.Context(), o.secretFile, cmd.InOrStdin())
		if err != nil {
			return err
		}
	}
	return inPlace(cmd, o.openToAdd(cmd), func(ctx context.Context, place *enroll.Place) error {
		before, err := place.Registry.Get(ctx, n.Tenant.ID)
		if err != nil {
			return err
		}
		stored, answer, err := place.Add(ctx, n, time.Now())
		if err != nil {
			return notAdded(cmd, conflicted(err))
		}
		err = say(cmd, "%s is registered in %s; it is served within a minute\n%s\n", titleOf(stored), place.Name, answer.Text())
		return errors.Join(err, sayOrphan(ctx, cmd, place, before, stored))
	})
}

func (o *tenantAddOptions) openToAdd(cmd *cobra.Command) opening {
	return func(ctx context.Context) (*enroll.Place, error) {
		return enroll.OpenToAdd(ctx, o.Options, o.entry.ID, newLogger(cmd, cmd.ErrOrStderr()))
	}
}

// notAdded makes a usage error of an entry that is not valid.
func notAdded(cmd *cobra.Command, err error) error {
	if _, ok := errors.AsType[*tenant.Error](err); ok {
		return usage(cmd, err)
	}
	return err
}
