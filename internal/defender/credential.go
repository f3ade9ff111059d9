package defender

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"packhorse/internal/entra"
	"packhorse/internal/tenant"
)

// roleSession names the sessions of the identity role in CloudTrail.
const roleSession = "packhorse"

// Identity says how a tenant's app proves who it is, with all that is needed for any kind of credential.
type Identity struct {
	Credential tenant.Credential
	Audience   string // of federated tokens, such as api://AzureADTokenExchange
	Secret     string // the client secret itself, on one machine; empty if the credential says where it is kept

	// AWS is the configuration for Secrets Manager, KMS and STS. A secret or a certificate of one machine
	// needs none.
	AWS aws.Config
}

// NewCredential returns the credential. Nothing is read or sent before the first token is requested.
func NewCredential(i Identity, now func() time.Time) entra.Credential {
	c := i.Credential
	vault := func(id string) *entra.Vault {
		return entra.NewVault(secretsmanager.NewFromConfig(i.AWS), id, now)
	}
	switch {
	case c.Kind == tenant.Federated:
		return entra.NewFederation(sts.NewFromConfig(assuming(i.AWS, c.IdentityRole)), c.IdentityRole, i.Audience)
	case c.CertificateFile != "":
		return entra.NewCertificate(entra.File(c.CertificateFile), c.CertificateFile, now)
	case c.CertificateSecretID != "":
		return entra.NewCertificate(vault(c.CertificateSecretID), c.CertificateSecretID, now)
	case c.CertificateKeyID != "":
		key := entra.NewKMSKey(kms.NewFromConfig(i.AWS), c.CertificateKeyID)
		return entra.NewKeyCertificate(key, c.CertificatePEM, now)
	case c.SecretID != "":
		return entra.NewClientSecret(vault(c.SecretID), c.SecretID)
	default:
		return entra.NewClientSecret(entra.Text(i.Secret), "DEFENDER_CLIENT_SECRET")
	}
}

// assuming returns a configuration that acts as the role, or cfg itself without one.
func assuming(cfg aws.Config, role string) aws.Config {
	if role == "" {
		return cfg
	}
	as := cfg.Copy()
	as.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role,
		func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = roleSession }))
	return as
}
