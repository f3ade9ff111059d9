package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// paper is one version of the object in a manifest's place: a manifest, or something posing as one.
type paper struct {
	placed
	version string // empty in an archive without versions
	digest  string // SHA-256 of its bytes; empty if they could not be read
	text    []byte // kept only during the search for its signature
	m       manifest.Manifest
	unread  error // why its bytes cannot be read
	bad     error // why they are not a manifest
	// belongs: it is stored in a place of the key that its own facts require.
	belongs bool

	signature        *placed // the one by a trusted key; else the first one to report on, or nil
	signatureVersion string
	signed           bool  // by the trusted key that it names
	signatureUnread  error // why a signature that could be the true one cannot be read
}

func (p *paper) parsed() bool { return p.unread == nil && p.bad == nil }

// valid reports whether a trusted key vouches for the paper in this place.
func (p *paper) valid() bool { return p.signed && p.belongs }

// unit is one manifest and its object. Missing parts are nil.
type unit struct {
	parts  investigation.KeyParts
	paper  *paper
	object *placed
}

// resolved is a family whose manifests are told apart from foreign objects in their places.
type resolved struct {
	*family
	units   []unit   // one, unless several manifests are valid
	rest    []placed // members that belong to no unit
	outcome *paper   // the manifest of the action's outcome, if it is elsewhere and this family is all strange
}

// known returns the family's manifest that a trusted key vouches for, or nil.
func (r *resolved) known() *paper {
	for _, u := range r.units {
		if u.paper != nil && u.paper.valid() {
			return u.paper
		}
	}
	return nil
}

// resolve reads every version in every place of the family's manifest. Anybody with write access can put a
// file into such a place, before or after the manifest, and only a trusted signature tells the true one.
// Without such a signature, resolve takes the one in the first place as the manifest and reports on it.
func (v *Verifier) resolve(ctx context.Context, f *family) *resolved {
	r := &resolved{family: f}
	var papers []*paper
	for _, o := range f.manifests {
		papers = append(papers, v.papers(ctx, f, o)...)
	}
	rec, _ := v.ledger.record(ctx, f.parts.ID)
	for _, p := range choose(papers, rec, f.parts.Area) {
		r.units = append(r.units, unit{parts: f.parts, paper: p, object: objectFor(f, p)})
	}
	if len(r.units) == 0 {
		r.units = []unit{{parts: f.parts}}
	}
	for _, p := range f.all() {
		if !p.gone() && !r.claims(p) {
			r.rest = append(r.rest, p)
		}
	}
	return r
}

// papers reads the versions of one place, the oldest first.
func (v *Verifier) papers(ctx context.Context, f *family, at placed) []*paper {
	versions := at.readable()
	slices.Reverse(versions)
	if len(versions) == 0 {
		versions = []string{""} // all are deleted: reading it returns that error
	}
	papers := make([]*paper, 0, len(versions))
	for _, version := range versions {
		p := &paper{placed: at, version: version}
		papers = append(papers, p)
		p.text, p.unread = readVersion(ctx, v.archive, *at.Object, version, manifestMax)
		if p.unread != nil {
			continue
		}
		sum := sha256.Sum256(p.text)
		p.digest = hex.EncodeToString(sum[:])
		p.m, p.bad = manifest.Parse(p.text)
		if p.bad == nil {
			_, p.belongs = place(p.m, at.parts)
			v.sign(ctx, f, p)
		}
		p.text = nil
	}
	return papers
}

// sign looks for a trusted signature in the places of the paper's signature.
func (v *Verifier) sign(ctx context.Context, f *family, p *paper) {
	key, trusted := v.trust.keys[p.m.Signature.KeyID]
	for i, s := range f.signatures {
		if s.parts.Place != p.parts.Place || s.gone() && p.signature != nil {
			continue
		}
		if p.signature == nil {
			p.signature = &f.signatures[i]
			p.signatureVersion, _ = s.Current()
		}
		if !trusted || p.m.Signature.Algorithm != signatureAlgorithm {
			continue
		}
		for _, version := range s.readable() {
			text, err := readVersion(ctx, v.archive, *s.Object, version, signatureMax)
			switch {
			case err != nil:
				p.signatureUnread = err
			case key.Verify(p.text, text) == nil:
				p.signature, p.signatureVersion, p.signed = &f.signatures[i], version, true
				return
			}
		}
	}
}

// choose returns the papers that are manifests: those that a trusted key vouches for, each once. Without
// any, it returns the closest candidate.
func choose(papers []*paper, rec investigation.Record, in investigation.Area) []*paper {
	seal, key := rec.Seal, rec.ManifestKey
	if in == investigation.AreaQuarantine {
		seal, key = rec.QuarantineSeal, investigation.Key(rec.Quarantine.Key).Manifest()
	}
	// The ledger's own come first. The sort is stable: ties go to the first place and the oldest version.
	rank := func(p *paper) int {
		switch {
		case seal.Sequence > 0 && p.digest == seal.Digest && p.Key == key:
			return 0
		case seal.Sequence > 0 && p.digest == seal.Digest:
			return 1
		default:
			return 2
		}
	}
	slices.SortStableFunc(papers, func(a, b *paper) int { return rank(a) - rank(b) })
	var chosen []*paper
	seen := map[string]bool{}
	for _, p := range papers {
		if p.valid() && !seen[p.digest] {
			seen[p.digest] = true
			chosen = append(chosen, p)
		}
	}
	if len(chosen) > 0 || len(papers) == 0 {
		return chosen
	}
	return []*paper{closest(papers, rank)}
}

// closest returns the paper to treat as the manifest if no trusted key vouches for any: the one the ledger
// names, or else the current version in the first place.
func closest(papers []*paper, rank func(*paper) int) *paper {
	best := papers[0]
	for _, p := range papers {
		current, _ := p.Current()
		if rank(p) < rank(best) || rank(p) == rank(best) && p.Key == best.Key && p.version == current {
			best = p
		}
	}
	return best
}

// objectFor returns the object that a manifest describes, if the family has it.
func objectFor(f *family, p *paper) *placed {
	for i, o := range f.objects {
		switch {
		case p.parsed() && p.m.Object != nil && o.Key == p.m.Object.Key,
			!p.belongs && o.parts.Place == p.parts.Place:
			return &f.objects[i]
		}
	}
	return nil
}

// claims reports whether a member belongs to one of the units.
func (r *resolved) claims(p placed) bool {
	return slices.ContainsFunc(r.units, func(u unit) bool {
		return u.paper != nil && (u.paper.Key == p.Key || u.object != nil && u.object.Key == p.Key ||
			u.paper.signature != nil && u.paper.signature.Key == p.Key ||
			!u.paper.parsed() && p.parts.Part == investigation.PartSignature && p.parts.Place == u.paper.parts.Place)
	})
}

// outcomes maps each action to its outcome's manifest, if a trusted key vouches for that manifest.
func outcomes(all []*resolved) map[investigation.ID]*paper {
	known := map[investigation.ID]*paper{}
	for _, r := range all {
		if p := r.known(); p != nil && r.parts.Area != investigation.AreaQuarantine {
			known[r.parts.ID] = p
		}
	}
	return known
}

// disown declares a whole family strange if no trusted key vouches for it and its action's outcome is
// elsewhere. It never disowns a family that the outcome or the ledger names: that is evidence which
// somebody changed.
func (v *Verifier) disown(ctx context.Context, r *resolved, outcome *paper) {
	if outcome == nil || r.known() != nil || len(r.all()) == 0 {
		return
	}
	named := []string{outcome.Key}
	if n := outcome.m.NotCollected; n != nil && n.Quarantine != nil {
		named = append(named, n.Quarantine.Key, n.Quarantine.ManifestKey)
	}
	if rec, ok := v.ledger.record(ctx, r.parts.ID); ok {
		for _, s := range seals(rec) {
			named = append(named, s.key)
		}
	}
	for _, key := range named {
		if n, ok := investigation.ParseKey(key); ok && n.Stem() == r.parts.Stem() {
			return
		}
	}
	r.units, r.rest, r.outcome = nil, nil, outcome
	for _, p := range r.all() {
		if !p.gone() {
			r.rest = append(r.rest, p)
		}
	}
}

// bodies maps the SHA-256 of each object to the manifest that vouches for it.
func bodies(all []*resolved) map[string]manifest.Manifest {
	known := map[string]manifest.Manifest{}
	for _, r := range all {
		for _, u := range r.units {
			if u.paper != nil && u.paper.valid() && u.paper.m.Object != nil {
				known[u.paper.m.Object.SHA256] = u.paper.m
			}
		}
	}
	return known
}

// resolveAll resolves all families, and disowns those that are strange.
func (v *Verifier) resolveAll(ctx context.Context, inv inventory) ([]*resolved, error) {
	all := make([]*resolved, len(inv.families))
	err := v.each(ctx, len(all), func(i int) { all[i] = v.resolve(ctx, inv.families[i]) })
	if err != nil {
		return nil, err
	}
	known := outcomes(all)
	for _, r := range all {
		v.disown(ctx, r, known[r.parts.ID])
	}
	v.bodies = bodies(all)
	return all, nil
}
