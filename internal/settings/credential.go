package settings

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// VarCredential is the variable that says how the app proves who it is.
const VarCredential = "DEFENDER_CREDENTIAL"

// VarArchiveBucket is the variable that names the evidence bucket.
const VarArchiveBucket = "ARCHIVE_BUCKET"

// TenantCredential returns how the app proves who it is, and where that is kept. The client secret itself, if
// it is set, is in [Settings.ClientSecret].
func (s Settings) TenantCredential() tenant.Credential {
	c := tenant.Credential{Kind: s.Credential}
	switch s.Credential {
	case tenant.Federated:
		c.IdentityRole = s.IdentityRole
	case tenant.Certificate:
		c.CertificateFile, c.CertificateSecretID = s.CertificateFile, s.CertificateSecretID
		c.CertificateKeyID, c.CertificatePEM = s.CertificateKeyID, s.CertificatePEM
	case tenant.ClientSecret:
		c.SecretID, c.SecretFile = s.SecretID, s.SecretFile
	}
	return c
}

// TokenExchangeAudience returns the audience of federated credentials in the tenant's cloud. Source:
// learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity.
func (s Settings) TokenExchangeAudience() string {
	switch s.Cloud {
	case GCCHigh, DoD:
		return "api://AzureADTokenExchangeUSGov"
	default:
		return "api://AzureADTokenExchange"
	}
}

// source is a place that a credential may come from.
type source struct {
	kind     tenant.Kind
	variable string
	set      bool
}

// sources lists the places that are set, in the order of tenant.Kinds.
func (s *Settings) sources() []source {
	var set []source
	for _, one := range []source{
		{tenant.Federated, varIdentityRole, s.IdentityRole != ""},
		{tenant.Certificate, varCertFile, s.CertificateFile != ""},
		{tenant.Certificate, varCertSecretID, s.CertificateSecretID != ""},
		{tenant.Certificate, varCertKeyID, s.CertificateKeyID != "" || s.CertificatePEM != ""},
		{tenant.ClientSecret, varSecretID, s.SecretID != ""},
		{tenant.ClientSecret, varSecretFile, s.SecretFile != ""},
		{tenant.ClientSecret, varClientSecret, !s.ClientSecret.IsZero()},
	} {
		if one.set {
			set = append(set, one)
		}
	}
	return set
}

// credential decides which credential is meant, and checks it. A credential of another kind that is set, too,
// is ignored if DEFENDER_CREDENTIAL says which one counts: that is how a tenant moves from one to the next.
func (c *check) credential(s *Settings, where place) {
	c.places(s, where)
	c.clientSecret(s, where)
	if s.Credential != "" && !slices.Contains(tenant.Kinds(), s.Credential) {
		c.wrong(varCredential, "")
		return
	}
	var sources []source
	for _, one := range s.sources() {
		if s.Credential == "" || one.kind == s.Credential {
			sources = append(sources, one)
		}
	}
	noTenant := s.TenantID == "" && s.TenantsTable != ""
	switch {
	case len(sources) > 1:
		c.wrong(sources[1].variable, fmt.Sprintf("%s is set, too: unset one of them%s", sources[0].variable,
			orChoose(sources)))
	case len(sources) == 1, s.Credential == tenant.Federated, noTenant && s.Credential == "":
	case s.Credential == tenant.Certificate:
		c.wrong(varCredential, "also set "+varCertFile+", "+varCertSecretID+", or "+varCertKeyID+" and "+varCertPEM)
	case where == onAWS:
		c.wrong(varSecretID, "")
	default:
		c.wrong(varClientSecret, "or choose another "+varCredential+": packhorse help credentials")
	}
	if s.Credential == "" && len(sources) > 0 {
		s.Credential = sources[0].kind
	}
}

// orChoose adds the other way out if two sources are of different kinds.
func orChoose(sources []source) string {
	if sources[0].kind == sources[1].kind {
		return ""
	}
	return fmt.Sprintf(", or set %s to %s or %s", varCredential, sources[0].kind, sources[1].kind)
}

var (
	// A Secrets Manager ARN or name, up to secretIDBytesMax. It excludes most client secrets, because
	// those that Entra ID makes usually contain a "~".
	secretIDForm = regexp.MustCompile(`^[A-Za-z0-9/_+=.@:-]+$`)
	keyForm      = regexp.MustCompile(`^[A-Za-z0-9:/_-]+$`)
)

// secretIDBytesMax is the length limit of Secrets Manager for SecretId. It is not part of secretIDForm
// because a regular expression repeats at most 1000 times.
const secretIDBytesMax = 2048

func validSecretID(id string) bool {
	return len(id) <= secretIDBytesMax && secretIDForm.MatchString(id)
}

// places checks the names of what holds the credential.
func (c *check) places(s *Settings, where place) {
	if s.SecretID != "" && !validSecretID(s.SecretID) {
		c.wrong(varSecretID, "if this is the secret itself, store it in Secrets Manager")
	}
	if s.CertificateSecretID != "" && !validSecretID(s.CertificateSecretID) {
		c.wrong(varCertSecretID, "if this is the certificate itself, store it in Secrets Manager")
	}
	if s.IdentityRole != "" && !roleForm.matches(s.IdentityRole) {
		c.wrong(varIdentityRole, "")
	}
	switch {
	case strings.ContainsFunc(s.CertificateFile, unicode.IsControl):
		c.wrong(varCertFile, "if this is the certificate itself, store it in a file")
	case s.CertificateFile != "" && where == onAWS:
		c.wrong(varCertFile, "unset it: a function has no files of its own; use "+varCertSecretID+" instead")
	}
	switch {
	case strings.ContainsFunc(s.SecretFile, unicode.IsControl):
		c.wrong(varSecretFile, "if this is the secret itself, store it in a file")
	case s.SecretFile != "" && where == onAWS:
		c.wrong(varSecretFile, "unset it: a function has no files of its own; use "+varSecretID+" instead")
	}
	switch hasKey, hasPEM := s.CertificateKeyID != "", s.CertificatePEM != ""; {
	case hasKey && !hasPEM:
		c.wrong(varCertPEM, "it is the certificate of "+varCertKeyID+
			": packhorse credential certificate makes it")
	case hasPEM && !hasKey:
		c.wrong(varCertKeyID, "it is the KMS key of "+varCertPEM)
	}
	if s.CertificateKeyID != "" && !keyForm.MatchString(s.CertificateKeyID) {
		c.wrong(varCertKeyID, "")
	}
	if s.CertificatePEM != "" {
		if err := checkPEM(s.CertificatePEM); err != nil {
			c.wrong(varCertPEM, err.Error())
		}
	}
}

// clientSecret checks the secret itself.
func (c *check) clientSecret(s *Settings, where place) {
	switch mistake := SecretMistake(s.ClientSecret); {
	case s.ClientSecret.IsZero():
	case where == onAWS:
		c.wrong(varClientSecret, "unset it: anyone who can see a function's configuration can read it; use "+
			varSecretID+" instead")
	case mistake != "":
		c.wrong(varClientSecret, mistake)
	}
}

// SecretMistake says why a text cannot be a client secret, without quoting it; it returns an empty text if it can.
func SecretMistake(s Secret) string {
	secret := s.Reveal()
	_, notID := investigation.CanonicalID(secret)
	switch {
	case secret == "":
		return "it is empty"
	case strings.HasPrefix(secret, "{"): // JSON with an expiry: checked when it is read
		return ""
	case notID == nil:
		return "this is a GUID, which is the secret's ID; use the value from the column " +
			"Value, which is shown only when the secret is created"
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "it contains white space or characters that are not ASCII"
	default:
		return ""
	}
}
