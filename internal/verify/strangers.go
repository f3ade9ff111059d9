package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Stranger is something that lies where Packhorse stores its files, and that Packhorse did not store.
type Stranger struct {
	Key       string `json:"key"`
	VersionID string `json:"versionId,omitempty"`
	Size      int64  `json:"size"`             // bytes
	SHA256    string `json:"sha256,omitempty"` // of its bytes; empty where Note says why
	Note      string `json:"note,omitempty"`
	// Known: the manifest or the ledger names it, so it was there when the package was stored.
	Known bool `json:"known"`
}

// String says what it is, without its key.
func (s *Stranger) String() string {
	var parts []string
	if s.VersionID != "" {
		parts = append(parts, s.VersionID)
	}
	parts = append(parts, fmt.Sprintf("%d bytes", s.Size))
	if s.SHA256 != "" {
		parts = append(parts, "SHA-256 "+s.SHA256)
	}
	if s.Note != "" {
		parts = append(parts, s.Note)
	}
	return strings.Join(parts, ", ")
}

// names reports whether a manifest names a stranger.
func names(m manifest.Manifest, key, version string) bool {
	return slices.ContainsFunc(m.Strangers, func(s manifest.Stranger) bool {
		return s.Key == key && (version == "" || s.VersionID == version)
	})
}

// stranger reads one version of an object, to say what it is. s is the record that it lies beside; it
// can be nil.
func (v *Verifier) stranger(ctx context.Context, o *Object, version string, s *Subject) *Stranger {
	stranger := &Stranger{Key: o.Key, VersionID: version, Size: o.size(version)}
	if s != nil {
		stranger.Known = names(s.Manifest, o.Key, version) ||
			s.Record != nil && slices.ContainsFunc(s.Record.Strangers.List(),
				func(known investigation.Stranger) bool {
					return known.Key == o.Key && (version == "" || known.VersionID == version)
				})
	}
	if o.Irregular != "" {
		stranger.Note = "it is " + o.Irregular
		return stranger
	}
	i, err := v.read(ctx, o, version, false)
	if err != nil {
		stranger.Note = "it cannot be read: " + err.Error()
		return stranger
	}
	stranger.Size, stranger.SHA256 = i.Size, i.SHA256
	return stranger
}

// strange names what belongs to no manifest. Beside the true record of its action it is a stranger,
// which contradicts nothing; else it is a finding like any other. What the ledger has in hand is being
// stored at this moment.
func (v *Verifier) strange(ctx context.Context, all []*resolved, subjects []Subject) []Finding {
	inHand := v.ledger.inHand(ctx)
	var findings []Finding
	for _, r := range all {
		beside := besides(subjects, r)
		vouched := r.known() != nil || r.outcome != nil
		for _, o := range r.rest {
			if !vouched && inHand(r.parts.ID) {
				continue
			}
			version, _ := o.Current()
			f := Finding{
				Key: o.Key, TenantID: r.parts.TenantID, Check: CheckStray, What: "no manifest speaks of it",
				Expected: r.parts.ManifestKey(), Stranger: v.stranger(ctx, o.Object, version, beside),
				id: r.parts.ID,
			}
			f.Found = f.Stranger.String()
			if beside != nil {
				f.Host, f.Case = beside.about()
			}
			if vouched {
				f.Kind, f.Expected = KindStranger, ""
				f.What = "nobody whom you trust signed for it"
			}
			findings = append(findings, f)
		}
	}
	return findings
}

// besides returns the record that vouches for the action of a family, or else any of that action.
func besides(subjects []Subject, r *resolved) *Subject {
	var closest *Subject
	for i := range subjects {
		s := &subjects[i]
		switch {
		case s.id != r.parts.ID:
		case r.outcome != nil && s.ManifestKey == r.outcome.Key, s.stem == r.parts.Stem() && s.read:
			return s
		case closest == nil:
			closest = s
		}
	}
	return closest
}
