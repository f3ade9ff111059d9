package memory

import (
	"encoding/json"
	"sync/atomic"

	"packhorse/internal/investigation"
)

// Sealer makes manifests for tests. They are the same for the same record and head, and say what
// they follow ([Manifest]). The zero Sealer is ready for use, by many at once.
type Sealer struct {
	Words string // stand in every manifest
	Err   error  // where it is set, there is no manifest

	made atomic.Int64
}

// Manifest is what such a manifest says.
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

// Made returns how many manifests were made, or asked for.
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
