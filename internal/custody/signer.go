package custody

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeyRef is how a manifest names its key.
type KeyRef struct {
	ID   string // SHA-256 of the public key (DER SubjectPublicKeyInfo), lower-case hexadecimal
	Name string // where it is kept, such as a KMS ARN; can be empty
}

// Key is a public key and its name.
type Key struct {
	KeyRef
	Public *ecdsa.PublicKey
}

// NewKey returns the key with its id. It refuses curves other than P-256.
func NewKey(name string, public *ecdsa.PublicKey) (Key, error) {
	if public == nil || public.Curve != elliptic.P256() {
		return Key{}, errors.New("the key is not on the curve P-256")
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encode the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return Key{KeyRef: KeyRef{ID: hex.EncodeToString(sum[:]), Name: name}, Public: public}, nil
}

// Signer signs digests.
type Signer interface {
	// Current returns the key that new manifests name.
	Current(ctx context.Context) (Key, error)
	// Find returns the key of a ref.
	Find(ctx context.Context, ref KeyRef) (Key, error)
	// Sign returns an ASN.1 DER ECDSA signature of a SHA-256 digest by the key of a ref.
	Sign(ctx context.Context, ref KeyRef, digest []byte) ([]byte, error)
}
