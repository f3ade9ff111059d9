package entra

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"packhorse/internal/tenant"
)

const (
	// assertionLife is how long an assertion is valid. Entra ID advises five to ten minutes.
	assertionLife = 5 * time.Minute

	// assertionSkew is how much this clock may be ahead of Entra ID's.
	assertionSkew = time.Minute
)

// Signer signs with a private key that never leaves its place. [NewKMSKey] makes one.
type Signer interface {
	// PublicKey returns the public half.
	PublicKey(ctx context.Context) (crypto.PublicKey, error)
	// Sign returns the RSASSA-PSS signature of a SHA-256 digest.
	Sign(ctx context.Context, digest []byte) ([]byte, error)
}

// KeyCertificate is the [Credential] of an app with a certificate whose private key is in KMS.
type KeyCertificate struct {
	signer Signer
	pem    string
	now    func() time.Time
}

// NewKeyCertificate returns the credential. text is one or more certificates of the signer's key, in PEM.
func NewKeyCertificate(signer Signer, text string, now func() time.Time) *KeyCertificate {
	return &KeyCertificate{signer, text, now}
}

// whereKey names the settings of a KeyCertificate.
const whereKey = "DEFENDER_CERTIFICATE_PEM"

// Kind implements [Credential].
func (*KeyCertificate) Kind() tenant.Kind { return tenant.Certificate }

// Proofs implements [Credential]. It signs one assertion for each valid certificate, the one that lasts
// longest first.
func (c *KeyCertificate) Proofs(ctx context.Context, a Application, _ bool) ([]Proof, error) {
	certificates, err := parseCertificates(c.pem)
	if err != nil {
		return nil, &Error{
			Message: fmt.Sprintf("the certificate in %s cannot be used: %v", whereKey, err),
			Advice:  "packhorse credential certificate makes one for the key in DEFENDER_CERTIFICATE_KEY_ID",
		}
	}
	valid, err := validAt(certificates, c.now(), whereKey)
	if err != nil {
		return nil, err
	}
	public, err := c.signer.PublicKey(ctx)
	if err != nil {
		return nil, explainKMS(err)
	}
	key, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errNotRSA()
	}
	var proofs []Proof
	for _, certificate := range valid {
		if !key.Equal(certificate.PublicKey) {
			continue
		}
		assertion, err := c.assertion(ctx, a, certificate)
		if err != nil {
			return nil, explainKMS(err)
		}
		proof := proofOf(certificate)
		proof.hidden, proof.identity = []string{assertion}, asserted(assertion)
		proofs = append(proofs, proof)
	}
	if len(proofs) == 0 {
		return nil, &Error{
			Message: fmt.Sprintf("the certificate in %s (thumbprint %s) is not that of the key in DEFENDER_CERTIFICATE_KEY_ID",
				whereKey, thumbprint(valid[0])),
			Advice: "packhorse credential certificate makes one for this key",
		}
	}
	return proofs, nil
}

func errNotRSA() *Error {
	return &Error{
		Message: "the KMS key is not an RSA key, and Entra ID accepts no other",
		Advice:  "make one: aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY",
	}
}

// assertion returns a signed JWT. Source:
// learn.microsoft.com/entra/identity-platform/certificate-credentials.
func (c *KeyCertificate) assertion(ctx context.Context, a Application, certificate *x509.Certificate) (string, error) {
	sum := sha256.Sum256(certificate.Raw)
	now := c.now()
	signed := segment(map[string]string{
		"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:]),
	}) + "." + segment(map[string]any{
		"aud": strings.TrimSuffix(a.AuthorityURL, "/") + "/" + a.TenantID + "/oauth2/v2.0/token",
		"iss": a.ClientID, "sub": a.ClientID, "jti": rand.Text(),
		"nbf": now.Add(-assertionSkew).Unix(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	digest := sha256.Sum256([]byte(signed))
	signature, err := c.signer.Sign(ctx, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// segment returns a part of a JWT.
func segment(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("entra: encode an assertion: " + err.Error()) // maps of strings and numbers always encode
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// kmsAdvice say how to fix an error. Source: the errors of Sign and GetPublicKey in the API reference.
var kmsAdvice = map[string]string{
	"NotFoundException":             "check DEFENDER_CERTIFICATE_KEY_ID and the region",
	"AccessDeniedException":         "allow kms:Sign and kms:GetPublicKey on it",
	"DisabledException":             "enable it: aws kms enable-key --key-id ID",
	"KMSInvalidStateException":      "it may be marked for deletion: aws kms cancel-key-deletion --key-id ID",
	"InvalidKeyUsageException":      "make one: aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY",
	"UnsupportedOperationException": "make one: aws kms create-key --key-spec RSA_2048 --key-usage SIGN_VERIFY",
}

func explainKMS(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || kmsAdvice[api.ErrorCode()] == "" {
		return fmt.Errorf("sign with the KMS key of the certificate: %w", err)
	}
	return &Error{
		Message: "the KMS key of the certificate cannot sign: " + api.ErrorCode(),
		Advice:  kmsAdvice[api.ErrorCode()], cause: err,
	}
}
