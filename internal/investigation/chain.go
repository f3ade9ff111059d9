package investigation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Head is the end of a tenant's chain of manifests. The zero Head is an empty chain.
type Head struct {
	Sequence int64  // of the last manifest; the first is number 1
	Digest   string // SHA-256 of its bytes, lower-case hexadecimal
}

// Seal is a manifest's place in the chain.
type Seal struct {
	Sequence int64
	Digest   string // SHA-256 of the manifest's bytes, lower-case hexadecimal
	Bucket   string // where the manifest belongs; each stack that shares a ledger has its own
	// Manifest holds the bytes until the archive is sure to have them; after that it is empty.
	Manifest string
}

// Sealer makes the manifests of a decided record. Calling it more than once MUST be safe: if somebody
// else seals first, the ledger cannot write the manifest and asks for one that follows the new head.
type Sealer interface {
	// Bucket names the bucket the manifests belong in.
	Bucket() string
	// Outcome makes the manifest of the action's outcome, as the next after head.
	Outcome(settled Record, head Head) ([]byte, error)
	// Quarantined makes the manifest of the record's quarantined object, as the next after head. It is
	// called only for a record with one.
	Quarantined(settled Record, head Head) ([]byte, error)
}

// Follow returns the seal of the manifest that comes next after h and belongs in bucket, and the new
// head.
func (h Head) Follow(manifest []byte, bucket string) (Seal, Head) {
	sum := sha256.Sum256(manifest)
	next := Head{Sequence: h.Sequence + 1, Digest: hex.EncodeToString(sum[:])}
	return Seal{
		Sequence: next.Sequence, Digest: next.Digest, Bucket: bucket, Manifest: string(manifest),
	}, next
}

// Sealed adds the manifests to a decided record, and returns it with the head that follows them. A
// record that is already sealed or done is returned unchanged, with the same head. A record that is not
// decided yet is an [ErrIllegalChange].
func (r Record) Sealed(head Head, by Sealer) (Record, Head, error) {
	if !r.State.Settled() {
		return Record{}, Head{}, fmt.Errorf("%w: seal in state %q", ErrIllegalChange, r.State)
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
			return Record{}, Head{}, fmt.Errorf("make the manifest of the quarantined object: %w", err)
		}
		next.QuarantineSeal, head = head.Follow(manifest, by.Bucket())
	}
	manifest, err := by.Outcome(next, head)
	if err != nil {
		return Record{}, Head{}, fmt.Errorf("make the manifest: %w", err)
	}
	next.Seal, head = head.Follow(manifest, by.Bucket())
	return next, head, nil
}

// IsSealed reports whether the record has its place in the chain.
func (r Record) IsSealed() bool { return r.Seal.Sequence > 0 }
