package manifest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Algorithm is what manifests call the one kind of signature there is.
const Algorithm = "ECDSA-P256-SHA256"

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

var (
	// ErrBadSignature: the signature is none of these bytes by this key.
	ErrBadSignature = errors.New("the signature does not fit")

	// ErrBadKey: it is not a key that signs manifests.
	ErrBadKey = errors.New("it is no ECDSA key on P-256")
)

// NewKey returns the key of that name, and refuses one that is not on the curve P-256.
func NewKey(name string, public *ecdsa.PublicKey) (Key, error) {
	if public.Curve != elliptic.P256() {
		return Key{}, ErrBadKey
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrBadKey, err)
	}
	sum := sha256.Sum256(der)
	return Key{KeyRef: KeyRef{ID: hex.EncodeToString(sum[:]), Name: name}, Public: public}, nil
}

// Verify reports whether the signature is one of the manifest by this key. Errors wrap
// [ErrBadSignature].
func (k Key) Verify(manifest, signature []byte) error {
	digest := sha256.Sum256(manifest)
	if !ecdsa.VerifyASN1(k.Public, digest[:], signature) {
		return fmt.Errorf("%w (key %s)", ErrBadSignature, k.ID)
	}
	return nil
}

const pemPublic = "PUBLIC KEY"

// PEM returns the public key as openssl reads it.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("encode the public key %s: %w", k.ID, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParseKeys reads public keys in PEM, one at least.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != pemPublic {
			return nil, fmt.Errorf("%w: it is PEM of a %q", ErrBadKey, block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBadKey, err)
		}
		public, ok := parsed.(*ecdsa.PublicKey)
		if !ok {
			return nil, ErrBadKey
		}
		key, err := NewKey("", public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: there is no PEM in it", ErrBadKey)
	}
	return keys, nil
}
