// Package custody signs manifests with a key in AWS KMS ([KMS]) or in a file ([Local]), and
// determines the key and the writer that new manifests name.
//
// The package stores nothing: it returns bytes for its caller to store.
package custody

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Signer signs digests. Implementations MUST be safe for concurrent use.
type Signer interface {
	// Current returns the key that new manifests name.
	Current(ctx context.Context) (manifest.Key, error)
	// Find returns the key of a ref.
	Find(ctx context.Context, ref manifest.KeyRef) (manifest.Key, error)
	// Sign returns a signature (ASN.1 DER) of a SHA-256 digest by the key of a ref.
	Sign(ctx context.Context, ref manifest.KeyRef, digest []byte) ([]byte, error)
}

// Writer makes and signs manifests. It is safe for concurrent use.
type Writer struct {
	signer Signer
	bucket string
	lock   investigation.Lock
	now    func() time.Time

	provenance func(context.Context) (manifest.Provenance, error)
}

// NewWriter returns a Writer of manifests for bucket, locked as lock says. It calls provenance once
// for every action whose outcome is decided.
func NewWriter(signer Signer, bucket string, lock investigation.Lock,
	provenance func(context.Context) (manifest.Provenance, error), now func() time.Time,
) *Writer {
	return &Writer{signer: signer, bucket: bucket, lock: lock, provenance: provenance, now: now}
}

// Sealer implements fetch.Custody.
func (w *Writer) Sealer(ctx context.Context, collection investigation.Collection,
	content investigation.Content,
) (investigation.Sealer, error) {
	key, err := w.signer.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the signing key: %w", err)
	}
	provenance, err := w.provenance(ctx)
	if err != nil {
		return nil, fmt.Errorf("determine the writer's identity: %w", err)
	}
	return manifest.Facts{
		Collection: collection, Content: content, Bucket: w.bucket, Lock: w.lock, Key: key.KeyRef, Provenance: provenance,
		SealedAt: w.now(),
	}.Sealer(), nil
}

// Sign implements fetch.Custody: it signs with the key that the manifest names, which may be an
// earlier one.
func (w *Writer) Sign(ctx context.Context, text []byte) ([]byte, error) {
	ref, err := keyRefOf(text)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(text)
	return w.signer.Sign(ctx, ref, digest[:])
}

// Verify implements fetch.Custody.
func (w *Writer) Verify(ctx context.Context, text, signature []byte) error {
	ref, err := keyRefOf(text)
	if err != nil {
		return err
	}
	key, err := w.signer.Find(ctx, ref)
	if err != nil {
		return fmt.Errorf("find the key %s of the manifest: %w", ref.ID, err)
	}
	return key.Verify(text, signature)
}

// Publish passes the present public key in PEM to put, which MUST NOT replace an existing file and
// MUST return the key's place. Call it before anything is sealed: verifying a manifest later takes
// the key.
func (w *Writer) Publish(ctx context.Context,
	put func(ctx context.Context, key string, pem []byte) (investigation.Placed, error),
) error {
	key, err := w.signer.Current(ctx)
	if err != nil {
		return fmt.Errorf("find the signing key: %w", err)
	}
	text, err := key.PEM()
	if err != nil {
		return err
	}
	_, err = put(ctx, investigation.SigningKeyKey(key.ID), text)
	if err != nil {
		return fmt.Errorf("publish the signing key: %w", err)
	}
	return nil
}

func keyRefOf(text []byte) (manifest.KeyRef, error) {
	m, err := manifest.Parse(text)
	if err != nil {
		return manifest.KeyRef{}, err
	}
	return manifest.KeyRef{ID: m.Signature.KeyID, Name: m.Signature.Key}, nil
}
