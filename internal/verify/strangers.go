package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
)

// Stranger is an object that Packhorse did not store, in a place where it stores its files.
type Stranger struct {
	Key       string `json:"key"`
	VersionID string `json:"versionId,omitempty"`
	Size      int64  `json:"size"`             // bytes
	SHA256    string `json:"sha256,omitempty"` // of its bytes; if empty, Note says why
	Note      string `json:"note,omitempty"`
	// Known: the manifest or the ledger names it, so it existed when the package was stored.
	Known bool `json:"known"`
}

// String describes the stranger without its key.
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

// names reports whether the manifest names this object as a stranger.
func names(m manifest.Manifest, key, version string) bool {
	return slices.ContainsFunc(m.Strangers, func(s manifest.Stranger) bool {
		return s.Key == key && (version == "" || s.VersionID == version)
	})
}

// stranger reads one version of an object and describes it. s is the subject that it was found beside, or
// nil.
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

// strange reports objects that belong to no manifest. Beside the true record of its action such an object
// is a stranger, which contradicts nothing; otherwise it is an ordinary finding. Actions still in progress
// are skipped, because their files are being stored right now.
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
				Key: o.Key, TenantID: r.parts.TenantID, Check: CheckStray, What: "no manifest mentions it",
				Expected: r.parts.ManifestKey(), Stranger: v.stranger(ctx, o.Object, version, beside),
				id: r.parts.ID,
			}
			f.Found = f.Stranger.String()
			if beside != nil {
				f.Host, f.Case = beside.about()
			}
			if vouched {
				f.Kind, f.Expected = KindStranger, ""
				f.What = "no trusted key signed for it"
			}
			findings = append(findings, f)
		}
	}
	return findings
}

// besides returns the subject that vouches for the family's action, or else any subject of that action.
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
