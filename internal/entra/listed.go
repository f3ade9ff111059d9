package entra

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Listed is a certificate as people and Entra ID know it.
type Listed struct {
	Name, Thumbprint string // the name contains the thumbprint
	From, Expires    time.Time

	public crypto.PublicKey
}

// Of reports whether it is the certificate of the private key with this public half.
func (l Listed) Of(public crypto.PublicKey) bool {
	key, ok := public.(*rsa.PublicKey)
	return ok && key.Equal(l.public)
}

// Certificates returns the certificates in PEM text, the one that lasts longest first. A private key beside them is
// not read. Errors do not quote the text.
func Certificates(text string) ([]Listed, error) {
	var all []Listed
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate %d: %w", len(all)+1, err)
		}
		all = append(all, Listed{
			Name: proofOf(certificate).Name, Thumbprint: thumbprint(certificate), From: certificate.NotBefore,
			Expires: certificate.NotAfter, public: certificate.PublicKey,
		})
	}
	if len(all) == 0 {
		return nil, errors.New("it has no certificate in PEM")
	}
	slices.SortStableFunc(all, func(a, b Listed) int { return b.Expires.Compare(a.Expires) })
	return all, nil
}

// SecretIs reports whether a stored client secret, bare or in JSON, has this value.
func SecretIs(text, value string) bool {
	s, err := NewClientSecret(Text(text), "").parse(text)
	return err == nil && s.Secret == value
}

// SecretExpires returns when a stored client secret expires, or zero if its text does not say.
func SecretExpires(text string) time.Time {
	s, err := NewClientSecret(Text(text), "").parse(text)
	if err != nil {
		return time.Time{}
	}
	return s.expires
}
