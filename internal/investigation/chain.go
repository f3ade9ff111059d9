package investigation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Head is the end of a tenant's chain of manifests. The zero Head is a chain without any.
type Head struct {
	Sequence int64  // of the last manifest; the first has 1
	Digest   string // SHA-256 of its bytes, lower-case hexadecimal
}

// Seal is a manifest's place in the chain.
type Seal struct {
	Sequence int64
	Digest   string // SHA-256 of the manifest's bytes, lower-case hexadecimal
	Bucket   string // where the manifest belongs; stacks that share a ledger have their own
	// Manifest is its bytes, for as long as the archive may not have them yet; then it is empty.
	Manifest string
}

// Sealer makes the manifests of a settled record. It MUST be safe to be called more than once: what
// a ledger could not write (somebody else sealed first) it has made again, to follow another head.
type Sealer interface {
	// Bucket is where the manifests belong.
	Bucket() string
	// Outcome makes the manifest of what became of the action, which follows head.
	Outcome(settled Record, head Head) ([]byte, error)
	// Quarantined makes the manifest of what came in the package's place, which follows head. It is
	// called only for a record that has such a thing.
	Quarantined(settled Record, head Head) ([]byte, error)
}

// Follow returns the seal of a manifest that follows the head and belongs into the bucket, and the new
// head.
func (h Head) Follow(manifest []byte, bucket string) (Seal, Head) {
	sum := sha256.Sum256(manifest)
	next := Head{Sequence: h.Sequence + 1, Digest: hex.EncodeToString(sum[:])}
	return Seal{
		Sequence: next.Sequence, Digest: next.Digest, Bucket: bucket, Manifest: string(manifest),
	}, next
}

// Sealed returns the settled record with its manifests, and the head after them. A record that is
// sealed or done stays as it is, and so does the head. One whose outcome is open gives
// ErrIllegalChange.
func (r Record) Sealed(head Head, by Sealer) (Record, Head, error) {
	if !r.State.Settled() {
		return Record{}, Head{}, fmt.Errorf("%w: it is %s", ErrIllegalChange, r.State)
	}
	if r.IsSealed() || r.State == StateDone {
		return r, head, nil
	}
	next := r
	if r.Reason != "" {
		key, err := NotCollectedKeyOf(r.Action)
		if err != nil {
			return Record{}, Head{}, err
		}
		next.ManifestKey = key
	}
	if r.Quarantine != (Receipt{}) {
		manifest, err := by.Quarantined(next, head)
		if err != nil {
			return Record{}, Head{}, fmt.Errorf("make the manifest of what is in quarantine: %w", err)
		}
		next.QuarantineSeal, head = head.Follow(manifest, by.Bucket())
	}
	manifest, err := by.Outcome(next, head)
	if err != nil {
		return Record{}, Head{}, fmt.Errorf("make its manifest: %w", err)
	}
	next.Seal, head = head.Follow(manifest, by.Bucket())
	return next, head, nil
}

// IsSealed reports whether the record has its place in the chain.
func (r Record) IsSealed() bool { return r.Seal.Sequence > 0 }
