package verify

import (
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

func linksOf(subjects []*Subject) (links []link, there map[string]bool) {
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
	}
	return links, there
}
