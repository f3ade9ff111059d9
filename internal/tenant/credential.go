package tenant

// Kind is how an app proves to Entra ID who it is.
type Kind string

const (
	// Federated proves the app by a token that AWS signs for an IAM role. Nothing is stored.
	Federated Kind = "federated"
	// Certificate proves the app by a signature with the private key of a certificate.
	Certificate Kind = "certificate"
	// ClientSecret proves the app by a secret that Entra ID made.
	ClientSecret Kind = "secret"
)

// Kinds lists the kinds, the safest first.
func Kinds() []Kind { return []Kind{Federated, Certificate, ClientSecret} }

// Credential says which kind of credential an app has, and where it is kept. It contains no secret.
type Credential struct {
	Kind Kind

	// IdentityRole is the ARN of the IAM role that AWS vouches for. Empty means the caller's own identity.
	// Federated only.
	IdentityRole string

	// A certificate is in one of three places: with its private key in a PEM file; likewise in a secret
	// of Secrets Manager; or by itself in PEM, with the private key in KMS.
	CertificateFile     string
	CertificateSecretID string
	CertificateKeyID    string
	CertificatePEM      string

	// SecretID is the ARN or name of the client secret in Secrets Manager.
	SecretID string
}

// UsesAWS reports whether proving the app takes calls of AWS.
func (c Credential) UsesAWS() bool {
	return c.Kind == Federated || c.CertificateSecretID != "" || c.CertificateKeyID != "" || c.SecretID != ""
}
