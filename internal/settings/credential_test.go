package settings_test

import (
	"strings"
	"testing"

	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// TestCredential: what is set decides on the kind, unless DEFENDER_CREDENTIAL does; two kinds are an error that
// names both.
func TestCredential(t *testing.T) {
	t.Parallel()
	certificatePEM := certificate(t, "app")
	const role = "arn:aws:iam::123456789012:role/packhorse-defender-identity"
	for name, c := range map[string]struct {
		environ []string
		want    tenant.Credential
		wrong   string // the variable and the mistake; empty if the settings are valid
	}{
		"secret":       {[]string{"DEFENDER_SECRET_ID", "s"}, tenant.Credential{Kind: tenant.ClientSecret, SecretID: "s"}, ""},
		"role":         {[]string{"DEFENDER_IDENTITY_ROLE", role}, tenant.Credential{Kind: tenant.Federated, IdentityRole: role}, ""},
		"own identity": {[]string{"DEFENDER_CREDENTIAL", "federated"}, tenant.Credential{Kind: tenant.Federated}, ""},
		"stored certificate": {[]string{"DEFENDER_CERTIFICATE_SECRET_ID", "c"},
			tenant.Credential{Kind: tenant.Certificate, CertificateSecretID: "c"}, ""},
		"certificate of a key": {[]string{"DEFENDER_CERTIFICATE_KEY_ID", "alias/k", "DEFENDER_CERTIFICATE_PEM", certificatePEM},
			tenant.Credential{Kind: tenant.Certificate, CertificateKeyID: "alias/k", CertificatePEM: certificatePEM}, ""},
		"moving": {[]string{"DEFENDER_CREDENTIAL", "federated", "DEFENDER_SECRET_ID", "s", "DEFENDER_IDENTITY_ROLE", role},
			tenant.Credential{Kind: tenant.Federated, IdentityRole: role}, ""},

		"nothing": {nil, tenant.Credential{}, "DEFENDER_SECRET_ID"},
		"two":     {[]string{"DEFENDER_SECRET_ID", "s", "DEFENDER_IDENTITY_ROLE", role}, tenant.Credential{}, "DEFENDER_SECRET_ID DEFENDER_IDENTITY_ROLE is set, too: unset one of them, or set DEFENDER_CREDENTIAL to federated or secret"},
		"two certificates": {[]string{"DEFENDER_CERTIFICATE_SECRET_ID", "c", "DEFENDER_CERTIFICATE_KEY_ID", "k", "DEFENDER_CERTIFICATE_PEM", certificatePEM}, tenant.Credential{},
			"DEFENDER_CERTIFICATE_KEY_ID DEFENDER_CERTIFICATE_SECRET_ID is set, too: unset one of them"},
		"key alone":   {[]string{"DEFENDER_CERTIFICATE_KEY_ID", "k"}, tenant.Credential{}, "DEFENDER_CERTIFICATE_PEM it is the certificate of"},
		"PEM alone":   {[]string{"DEFENDER_CERTIFICATE_PEM", certificatePEM}, tenant.Credential{}, "DEFENDER_CERTIFICATE_KEY_ID it is the KMS key of"},
		"file on AWS": {[]string{"DEFENDER_CERTIFICATE_FILE", "x.pem"}, tenant.Credential{}, "DEFENDER_CERTIFICATE_FILE unset it: a function has no files"},
		"kind alone":  {[]string{"DEFENDER_CREDENTIAL", "certificate", "DEFENDER_SECRET_ID", "s"}, tenant.Credential{}, "DEFENDER_CREDENTIAL also set"},
		"odd kind":    {[]string{"DEFENDER_CREDENTIAL", "password", "DEFENDER_SECRET_ID", "s"}, tenant.Credential{}, "DEFENDER_CREDENTIAL"},
	} {
		environ := with(with(onAWS(), "DEFENDER_SECRET_ID", ""), c.environ...)
		s, err := settings.ParsePoll(environ)
		if c.wrong != "" {
			found := problems(t, err)
			if text := found[0].Variable + " " + found[0].Mistake; len(found) != 1 || !strings.HasPrefix(text, c.wrong) {
				t.Errorf("%s: got %+v, want %q", name, found, c.wrong)
			}
			continue
		}
		if got := s.TenantCredential(); err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

// TestTokenExchangeAudience: each cloud has its own audience.
func TestTokenExchangeAudience(t *testing.T) {
	t.Parallel()
	for cloud, want := range map[string]string{
		"commercial": "api://AzureADTokenExchange", "gcc": "api://AzureADTokenExchange",
		"gcc-high": "api://AzureADTokenExchangeUSGov", "dod": "api://AzureADTokenExchangeUSGov",
	} {
		s, err := settings.ParseCLI(with(onOneMachine(), "DEFENDER_CLOUD", cloud))
		if got := s.TokenExchangeAudience(); err != nil || got != want {
			t.Errorf("%s: got %s, %v", cloud, got, err)
		}
	}
}
