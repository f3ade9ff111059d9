package entra

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// Made is a new certificate, and the names by which Entra ID and people know it.
type Made struct {
	PEM        []byte
	Thumbprint string // SHA-1, as Entra ID's pages show it
	Expires    time.Time
}

// serialBits is the size of a serial number. RFC 5280 allows up to 160.
const serialBits = 128

// SelfSigned makes a certificate of the key, valid from now until expires. KMS signs it, so the private key
// does not leave KMS. Errors wrap *[Error] if a person can fix the cause.
func (k *KMSKey) SelfSigned(ctx context.Context, name string, now, expires time.Time) (Made, error) {
	public, err := k.PublicKey(ctx)
	if err != nil {
		return Made{}, explainKMS(err)
	}
	_, ok := public.(*rsa.PublicKey)
	if !ok {
		return Made{}, errNotRSA()
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return Made{}, fmt.Errorf("make a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-assertionSkew), NotAfter: expires, KeyUsage: x509.KeyUsageDigitalSignature,
		SignatureAlgorithm: x509.SHA256WithRSA,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public,
		kmsSigner{ctx, k, public}) //nolint:contextcheck // crypto.Signer takes no context
	if err != nil {
		return Made{}, explainKMS(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return Made{}, fmt.Errorf("parse the new certificate: %w", err)
	}
	return Made{
		PEM:        pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Thumbprint: thumbprint(certificate), Expires: certificate.NotAfter,
	}, nil
}

// kmsSigner is a [crypto.Signer] for one certificate.
type kmsSigner struct {
	ctx    context.Context
	key    *KMSKey
	public crypto.PublicKey
}

// Public implements [crypto.Signer].
func (s kmsSigner) Public() crypto.PublicKey { return s.public }

// Sign implements [crypto.Signer].
func (s kmsSigner) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.key.sign(s.ctx, digest, types.SigningAlgorithmSpecRsassaPkcs1V15Sha256)
}
