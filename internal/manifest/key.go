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

// Algorithm is the name that manifests use for the only kind of signature.
const Algorithm = "ECDSA-P256-SHA256"

// KeyRef identifies a key in a manifest.
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
	// ErrBadSignature means that this key did not make the signature over these bytes.
	ErrBadSignature = errors.New("signature mismatch")

	// ErrBadKey means that a key cannot sign manifests.
	ErrBadKey = errors.New("not an ECDSA key on P-256")
)

// NewKey returns the key with that name. It fails unless the key is on the curve P-256.
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

// Verify returns an error that wraps [ErrBadSignature] unless this key made the signature over the manifest.
func (k Key) Verify(manifest, signature []byte) error {
	digest := sha256.Sum256(manifest)
	if !ecdsa.VerifyASN1(k.Public, digest[:], signature) {
		return fmt.Errorf("%w (key %s)", ErrBadSignature, k.ID)
	}
	return nil
}

const pemPublic = "PUBLIC KEY"

// PEM returns the public key in the form that openssl reads.
func (k Key) PEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("encode the public key %s: %w", k.ID, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPublic, Bytes: der}), nil
}

// ParseKeys reads one or more public keys in PEM.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	for {
		var block *pem.Block
		block, text = pem.Decode(text)
		if block == nil {
			break
		}
		if block.Type != pemPublic {
			return nil, fmt.Errorf("%w: the PEM block is a %q", ErrBadKey, block.Type)
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
		return nil, fmt.Errorf("%w: no PEM block found", ErrBadKey)
	}
	return keys, nil
}
