package memory

import (
	"encoding/json"
	"sync/atomic"

	"packhorse/internal/investigation"
)

// Sealer makes manifests for tests ([Manifest]). The same record and head always give the same manifest.
// The zero Sealer is ready to use, and safe for concurrent use.
type Sealer struct {
	Words string // written to every manifest
	Err   error  // if set, making a manifest fails with it

	made atomic.Int64
}

// Manifest is the content of a test manifest.
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
func (s *Sealer) Outcome(decided investigation.Record, head investigation.Head) ([]byte, error) {
	return s.manifest(decided, head, false)
}

// Quarantined implements investigation.Sealer.
func (s *Sealer) Quarantined(decided investigation.Record, head investigation.Head) ([]byte, error) {
	return s.manifest(decided, head, true)
}

// Made returns how often a manifest was requested.
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
