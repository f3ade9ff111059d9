package memory

import (
	"encoding/json"
	"sync/atomic"

	"packhorse/internal/investigation"
)

// Sealer makes manifests for tests. The same record and head always make the same manifest, which says what
// it follows ([Manifest]). The zero Sealer is ready to use and safe for concurrent use.
type Sealer struct {
	Words string // copied into every manifest
	Err   error  // if set, returned instead of a manifest

	made atomic.Int64
}

// Manifest is the content of a manifest that Sealer makes.
type Manifest struct {
	ActionID    string
	Quarantined bool
	State       investigation.State
	Sequence    int64
	Previous    string // the digest of the manifest before it
	Words       string
}

// Bucket implements investigation.Sealer.
func (*Sealer) Bucket() string { return "evidence" }

// Outcome implements investigation.Sealer.
func (s *Sealer) Outcome(settled investigation.Record, head investigation.Head) ([]byte, error) {
	return s.manifest(settled, head, false)
}

// Quarantined implements investigation.Sealer.
func (s *Sealer) Quarantined(settled investigation.Record, head investigation.Head) ([]byte, error) {
	return s.manifest(settled, head, true)
}

// Made returns how many manifests were requested.
func (s *Sealer) Made() int64 { return s.made.Load() }

func (s *Sealer) manifest(r investigation.Record, head investigation.Head, quarantined bool) (
	[]byte, error,
) {
	s.made.Add(1)
	if s.Err != nil {
		return nil, s.Err
	}
	return json.Marshal(Manifest{ActionID: r.ActionID, Quarantined: quarantined, State: r.State,
		Sequence: head.Sequence + 1, Previous: head.Digest, Words: s.Words})
}
