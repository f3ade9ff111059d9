package entra

import (
	"context"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // Entra ID shows certificates by their SHA-1
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"packhorse/internal/tenant"
)

// Certificate is the [Credential] of an app with a certificate whose private key is beside it.
type Certificate struct {
	store Store
	where string
	now   func() time.Time
}

// NewCertificate returns the credential. The text in the store is PEM: an RSA private key, and one or more
// of its certificates in any order; a new certificate may stand beside the one it replaces. where names the
// store's setting in errors.
func NewCertificate(store Store, where string, now func() time.Time) *Certificate {
	return &Certificate{store, where, now}
}

// Kind implements [Credential].
func (*Certificate) Kind() tenant.Kind { return tenant.Certificate }

// Proofs implements [Credential]. It returns a proof for each valid certificate, the newest first.
func (c *Certificate) Proofs(ctx context.Context, _ Application, again bool) ([]Proof, error) {
	text, err := c.store.Read(ctx, again)
	if err != nil {
		return nil, err
	}
	certificates, key, err := c.parse(text)
	if err != nil {
		return nil, err
	}
	valid, err := validAt(certificates, c.now(), c.where)
	if err != nil {
		return nil, err
	}
	var proofs []Proof
	for _, certificate := range valid {
		proof := proofOf(certificate)
		proof.hidden = []string{text}
		proof.identity = func(a Application, options azcore.ClientOptions) (azcore.TokenCredential, error) {
			return azidentity.NewClientCertificateCredential(a.TenantID, a.ClientID,
				[]*x509.Certificate{certificate}, key, &azidentity.ClientCertificateCredentialOptions{
					ClientOptions: options, DisableInstanceDiscovery: !isMicrosoft(a.AuthorityURL),
				})
		}
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// parse returns the private key and its certificates. Errors do not quote the text.
func (c *Certificate) parse(text string) ([]*x509.Certificate, *rsa.PrivateKey, error) {
	certificates, parsed, err := azidentity.ParseCertificates([]byte(text), nil)
	if err != nil {
		return nil, nil, c.unusable("it is not PEM with a certificate and its unencrypted private key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, nil, c.unusable("its private key is not an RSA key, and Entra ID accepts no other")
	}
	own := slices.DeleteFunc(certificates, func(certificate *x509.Certificate) bool {
		return !key.PublicKey.Equal(certificate.PublicKey)
	})
	if len(own) == 0 {
		return nil, nil, c.unusable("the certificate is that of another private key")
	}
	return own, key, nil
}

func (c *Certificate) unusable(problem string) *Error {
	return &Error{
		Message: fmt.Sprintf("the certificate in %s cannot be used: %s", c.where, problem),
		Advice:  "give it the certificate and its private key as PEM, in one text",
	}
}

// parseCertificates returns the certificates in PEM text. Other blocks are an error.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	rest := []byte(text)
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it contains a %.40q beside certificates", block.Type)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d: %w", len(all)+1, err)
		}
		all = append(all, certificate)
	}
	if len(all) == 0 || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, fmt.Errorf("it is not a certificate in PEM")
	}
	return all, nil
}

// validAt returns the certificates that are valid now, the one that lasts longest first. If there is none, the
// error says until when, or from when, the best of them is valid.
func validAt(certificates []*x509.Certificate, now time.Time, where string) ([]*x509.Certificate, error) {
	sorted := slices.SortedFunc(slices.Values(certificates), func(a, b *x509.Certificate) int {
		return b.NotAfter.Compare(a.NotAfter)
	})
	valid := slices.DeleteFunc(slices.Clone(sorted), func(certificate *x509.Certificate) bool {
		return now.Before(certificate.NotBefore) || now.After(certificate.NotAfter)
	})
	if len(valid) > 0 {
		return valid, nil
	}
	best := sorted[0]
	problem, advice := "expired on "+best.NotAfter.UTC().Format(time.DateOnly),
		"make a new certificate, upload it to the app registration, and put it there"
	if now.Before(best.NotBefore) {
		problem = "is valid only from " + best.NotBefore.UTC().Format(time.RFC3339)
		advice = "check this machine's clock"
	}
	return nil, &Error{
		Message: fmt.Sprintf("the certificate in %s (thumbprint %s) %s", where, thumbprint(best), problem),
		Advice:  advice,
	}
}

// thumbprint returns the SHA-1 of a certificate, as Entra ID's pages show it.
func thumbprint(certificate *x509.Certificate) string {
	return fmt.Sprintf("%X", sha1.Sum(certificate.Raw)) //nolint:gosec // a name, not a proof
}

// proofOf returns what is known of a certificate.
func proofOf(certificate *x509.Certificate) Proof {
	print := thumbprint(certificate)
	return Proof{
		Name: "the certificate with thumbprint " + print, Expires: certificate.NotAfter, id: print,
		fix: "thumbprint " + print,
	}
}
