package take

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// Item is a verified manifest and what belongs to it.
type Item struct {
	verify.Subject

	Text      []byte // of the manifest; nil if it could not be read
	Signature []byte // nil if there is none
	Object    *Copy  // nil if none was copied
}

// Agrees reports whether manifest, signature and object agree, and the key that signed is trusted or came with
// the archive. Other checks, such as those of versions and locks, may still be missing or wrong: the summary's
// verdict tells.
func (i Item) Agrees() bool {
	for _, check := range []verify.Check{verify.CheckManifest, verify.CheckSignature, verify.CheckObject} {
		if i.Result(check).Verdict != verify.VerdictOK {
			return false
		}
	}
	return i.Text != nil && i.Signature != nil
}

// Verified reports whether everything agrees and, if there is an object, all of it was copied.
func (i Item) Verified() bool {
	o := i.Manifest.Object
	return i.Agrees() && (o == nil ||
		i.Object != nil && i.Object.whole && i.Object.Key == o.Key && i.Object.Size == o.Size)
}

// AllVerified reports whether there are items, and all are verified.
func AllVerified(items []Item) bool {
	return len(items) > 0 && !slices.ContainsFunc(items, func(i Item) bool { return !i.Verified() })
}

// Items pairs the summary's subjects with what passed the tap. pem returns a public key by its id.
func (t *Tap) Items(ctx context.Context, sum verify.Summary, pem func(id string) ([]byte, error)) []Item {
	t.mu.Lock()
	defer t.mu.Unlock()
	items := make([]Item, 0, len(sum.Subjects))
	for _, s := range sum.Subjects {
		item := Item{Subject: s}
		for _, text := range t.texts[s.ManifestKey] {
			if digestOf(text) == s.Digest {
				item.Text = text
			}
		}
		if item.Text != nil {
			item.Signature = t.signature(ctx, s, item.Text, pem)
		}
		if o := s.Manifest.Object; o != nil {
			item.Object = t.copies[o.Key]
		}
		items = append(items, item)
	}
	return items
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// signature returns the signature that verifies or, without one, whatever is stored in its place.
func (t *Tap) signature(ctx context.Context, s verify.Subject, text []byte, pem func(id string) ([]byte, error)) []byte {
	if s.SignatureKey == "" {
		return nil
	}
	known, err := pem(s.Manifest.Signature.KeyID)
	if err == nil {
		keys, err := manifest.ParseKeys(known)
		for _, signature := range t.texts[s.SignatureKey] {
			if err == nil && keys[0].Verify(text, signature) == nil {
				return signature
			}
		}
	}
	if all := t.texts[s.SignatureKey]; len(all) > 0 {
		return all[len(all)-1]
	}
	stored, err := t.small(ctx, s.SignatureKey) // verification does not read it without a key to check it with
	if err != nil {
		return nil
	}
	return stored
}

// smallMax is many times the size of a signature, in bytes.
const smallMax = 64 << 10

func (t *Tap) small(ctx context.Context, key string) (_ []byte, err error) {
	body, err := t.Archive.Open(ctx, key, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	return io.ReadAll(io.LimitReader(body, smallMax))
}

// Action returns the action that a manifest is about.
func Action(m manifest.Manifest) investigation.Action {
	return investigation.Action{
		ID:        investigation.ID{TenantID: m.Action.TenantID, ActionID: m.Action.ID},
		MachineID: m.Action.MachineID, ComputerDNSName: m.Action.ComputerDNSName, Requestor: m.Action.Requestor,
		RequestorComment: m.Action.RequestorComment, CaseID: m.Action.CaseID, CreatedAt: m.Action.CreatedAt,
	}
}
