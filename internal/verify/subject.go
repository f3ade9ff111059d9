package verify

import (
	"context"
	"fmt"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// signatureAlgorithm is the only one in use.
const signatureAlgorithm = "ECDSA-P256-SHA256"

// subject makes all checks of one manifest that do not need other manifests.
func (v *Verifier) subject(ctx context.Context, inv inventory, r *resolved, u unit) Subject {
	s := Subject{
		Key: u.parts.SubjectKey(), ManifestKey: u.parts.ManifestKey(), TenantID: u.parts.TenantID,
		id: u.parts.ID, stem: u.parts.Stem(),
	}
	if rec, ok := v.ledger.record(ctx, s.id); ok {
		s.Record = &rec
	}
	if u.paper == nil {
		v.withoutManifest(ctx, &s, r)
		return s
	}
	s.there = true
	s.ManifestKey, s.Key = u.paper.Key, beside(u.paper.parts)
	if u.object != nil {
		s.Key = u.object.Key
	}
	if u.paper.signature != nil {
		s.SignatureKey = u.paper.signature.Key
	}
	v.manifest(&s, u)
	if !s.read {
		return s
	}
	v.signature(&s, u)
	v.object(ctx, &s, inv, u)
	v.versions(ctx, &s, u)
	v.locks(ctx, &s, u)
	v.inLedger(ctx, &s)
	s.establish()
	return s
}

// withoutManifest reports a missing manifest. An object or signature that is left alone gets its finding
// from the stray check.
func (v *Verifier) withoutManifest(ctx context.Context, s *Subject, r *resolved) {
	if v.ledger.inHand(ctx)(s.id) {
		s.needless(CheckManifest, "it is being stored right now")
		for _, check := range checksAfterManifest {
			s.needless(check, "there is no manifest yet")
		}
		return
	}
	if len(r.rest) == 0 {
		sealed := s.Record != nil && (s.Record.IsSealed() || s.Record.State == investigation.StateDone)
		s.mismatch(Finding{
			Check: CheckManifest, What: "nothing is stored under the key", Expected: s.ManifestKey, nothing: !sealed,
		})
	} else {
		s.set(Result{Check: CheckManifest, Verdict: VerdictMismatch, Why: "it is missing"})
	}
	s.unfounded("there is no manifest", checksAfterManifest...)
}

// manifest judges the manifest itself.
func (v *Verifier) manifest(s *Subject, u unit) {
	p := u.paper
	s.Digest = p.digest
	switch {
	case p.unread != nil:
		s.mismatch(Finding{
			Key: s.ManifestKey, Check: CheckManifest, What: "the manifest cannot be read",
			Found: p.unread.Error(), Unread: !isWrong(p.unread),
		})
		s.unfounded("the manifest cannot be read", checksAfterManifest...)
		return
	case p.bad != nil:
		s.mismatch(Finding{
			Key: s.ManifestKey, Check: CheckManifest, What: "not a valid manifest",
			Found: strings.TrimPrefix(p.bad.Error(), manifest.ErrBadManifest.Error()+": "),
		})
		s.unfounded("the manifest is not valid", checksAfterManifest...)
		return
	}
	s.Manifest, s.read = p.m, true
	if expected, ok := place(p.m, p.parts); !ok {
		s.mismatch(Finding{
			Key: s.ManifestKey, Check: CheckManifest, What: "the manifest belongs under another key",
			Expected: expected, Found: s.ManifestKey,
		})
	} else {
		s.ok(CheckManifest)
	}
}

// beside returns the key that people use for the evidence of the manifest in this place.
func beside(at investigation.KeyParts) string {
	if at.Area == investigation.AreaNotCollected {
		return at.Key()
	}
	return investigation.Place(at.SubjectKey(), at.Place)
}

// place returns the key that follows from a manifest's own facts, and whether the manifest is stored in
// one of the places of that key.
func place(m manifest.Manifest, at investigation.KeyParts) (expected string, ok bool) {
	action := investigation.Action{
		ID:        investigation.ID{TenantID: m.Action.TenantID, ActionID: m.Action.ID},
		MachineID: m.Action.MachineID, CreatedAt: m.Action.CreatedAt,
	}
	expected, err := m.Key()
	if err != nil {
		return "the key of a valid action", false
	}
	var byAction string
	switch m.Outcome {
	case manifest.OutcomeArchived:
		key, err := investigation.KeyOf(at.Folder, action)
		if err != nil {
			return expected, false
		}
		byAction = key.Manifest()
	case manifest.OutcomeQuarantined:
		key, err := investigation.QuarantineKeyOf(action)
		if err != nil {
			return expected, false
		}
		byAction = key.Manifest()
	default:
		byAction = expected
	}
	if n, ok := investigation.ParseKey(expected); !ok || n.Stem() != at.Stem() {
		return expected, false
	}
	if m.Object != nil {
		n, ok := investigation.ParseKey(m.Object.Key)
		if !ok || n.Part != investigation.PartObject || n.Stem() != at.Stem() {
			return expected, false
		}
	}
	return byAction, byAction == at.ManifestKey()
}

// signature checks the signature with the trusted key that the manifest names.
func (v *Verifier) signature(s *Subject, u unit) {
	p := u.paper
	mismatch := func(what, expected, found string, unread bool) {
		key := investigation.SignatureKey(s.ManifestKey)
		if p.signature != nil {
			key = p.signature.Key
		}
		s.mismatch(Finding{
			Key: key, Check: CheckSignature, What: what, Expected: expected, Found: found, Unread: unread,
		})
	}
	ref := s.Manifest.Signature
	if ref.Algorithm != signatureAlgorithm {
		mismatch("the manifest names a different signature algorithm", signatureAlgorithm, ref.Algorithm, false)
	}
	if p.signed {
		s.ok(CheckSignature)
		return
	}
	if p.signature == nil {
		mismatch("the signature is missing", "a signature by the key "+ref.KeyID, "", false)
		return
	}
	key, ok := v.trust.keys[ref.KeyID]
	if !ok {
		trusted := "no key at all"
		if ids := v.trust.IDs(); len(ids) > 0 {
			trusted = "one of " + strings.Join(ids, ", ")
		}
		mismatch("the manifest names a key that is not trusted", trusted, ref.KeyID, false)
		s.Findings[len(s.Findings)-1].Headline = headlineForeign
		return
	}
	if err := p.signatureUnread; err != nil {
		mismatch("the signature cannot be read", "", err.Error(), !isWrong(err))
		return
	}
	mismatch("the signature does not match this manifest and key", "a signature by the key "+key.ID,
		fmt.Sprintf("%d bytes that do not verify", p.signature.size(p.signatureVersion)), false)
}

// quarantines compares the quarantined objects that manifests name with those in the archive.
func (v *Verifier) quarantines(subjects []Subject, mismatch func(*Subject, Finding)) {
	for i := range subjects {
		s := &subjects[i]
		if s.Manifest.NotCollected == nil || s.Manifest.NotCollected.Quarantine == nil {
			continue
		}
		named := s.Manifest.NotCollected.Quarantine
		q := quarantined(subjects, *named)
		say := func(what, expected, found string) {
			mismatch(s, Finding{Check: CheckQuarantine, What: what, Expected: expected, Found: found})
		}
		unread := func(what, key string) {
			mismatch(s, Finding{Check: CheckQuarantine, What: what, Expected: key, Unread: true})
		}
		switch {
		case q != nil && q.unread(CheckManifest):
			unread("the quarantine manifest cannot be read", named.ManifestKey)
		case q == nil || q.Digest == "":
			say("the quarantine manifest is missing", named.ManifestKey, "")
		case q.Digest != named.ManifestSHA256:
			say("the quarantine manifest differs", named.ManifestSHA256, q.Digest)
		case q.Key != named.Key:
			say("the quarantined object has a different key", named.Key, q.Key)
		case q.unread(CheckObject):
			unread("the quarantined object cannot be read", named.Key)
		case q.objectSHA256 == "":
			say("the quarantined object is missing", named.Key, "")
		case q.objectSHA256 != named.SHA256:
			say("the quarantined object's SHA-256 differs", named.SHA256, q.objectSHA256)
		}
		s.ok(CheckQuarantine)
	}
}

// quarantined finds the quarantine manifest that another one names. It may be stored in a later place.
func quarantined(subjects []Subject, named manifest.Quarantine) *Subject {
	n, ok := investigation.ParseKey(named.ManifestKey)
	var closest *Subject
	for i := range subjects {
		q := &subjects[i]
		switch {
		case !ok || q.stem != n.Stem():
		case q.Digest == named.ManifestSHA256:
			return q
		case closest == nil:
			closest = q
		}
	}
	return closest
}
