package verify

import (
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// link is a manifest's place in the chain.
type link struct {
	key      string
	id       investigation.ID
	host     string
	caseID   string
	sequence int64
	previous string // empty for the first manifest, or if the manifest's text is unknown
	digest   string
	sealedAt time.Time // zero if unknown
	signed   bool      // by a trusted key
	pending  bool      // sealed but not stored yet
	absent   bool      // stored in another archive
}

// linksOf returns the links of a tenant's manifests, and the keys and digests that exist. A manifest that
// cannot be read takes the number and digest that the ledger gave it; unknown counts those without one.
func linksOf(subjects []*Subject) (links []link, there map[string]bool, unknown int64) {
	there = map[string]bool{}
	for _, s := range subjects {
		if s.there {
			there[s.ManifestKey] = true
			there[s.Digest] = true // it may be stored in a later place
		}
		if s.read {
			host, caseID := s.about()
			links = append(links, link{
				key: s.ManifestKey, id: s.id, host: host, caseID: caseID, sequence: s.Manifest.Chain.Sequence,
				previous: s.Manifest.Chain.Previous, digest: s.Digest, sealedAt: s.Manifest.Custody.SealedAt,
				signed: s.Result(CheckSignature).Verdict == VerdictOK,
			})
		}
		if !s.unread(CheckManifest) {
			continue
		}
		if seal := s.sealed(); seal.Sequence > 0 {
			host, caseID := s.about()
			links = append(links, link{
				key: s.ManifestKey, id: s.id, host: host, caseID: caseID, sequence: seal.Sequence,
				digest: seal.Digest, signed: true,
			})
		} else {
			unknown++
		}
	}
	return links, there, unknown
}

// sealed returns the ledger's seal of the subject's manifest; zero if there is none.
func (s *Subject) sealed() investigation.Seal {
	if s.Record == nil {
		return investigation.Seal{}
	}
	if at, _ := investigation.ParseKey(s.ManifestKey); at.Area == investigation.AreaQuarantine {
		return s.Record.QuarantineSeal
	}
	return s.Record.Seal
}

// unread reports whether a check failed only because bytes could not be read.
func (s *Subject) unread(check Check) bool {
	return slices.ContainsFunc(s.Findings, func(f Finding) bool { return f.Check == check && f.Unread })
}

// excuse marks gaps in a chain as unread if manifests that could not be read may fill them. unknown is how
// many of those there are. Each of them can fill one number.
func excuse(findings []Finding, unknown int64) {
	for i, f := range findings {
		if missing := f.gap.to - f.gap.from + 1; f.gap.from > 0 && missing <= unknown {
			findings[i].Unread = true
			unknown -= missing
		}
	}
}
