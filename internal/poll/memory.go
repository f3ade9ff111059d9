package poll

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"packhorse/internal/investigation"
)

// rememberedMax bounds the memory. It is more than the getPackageUri budget allows in two months. An
// action beyond it is read from the ledger in every listing.
const rememberedMax = 200_000

// memory remembers what the ledger was last told about each action, and the resulting state. It only
// saves work. It keeps digests, because a tenant can have a hundred thousand actions: each takes 40 bytes,
// no matter how long its names are.
type memory struct {
	listing uint32 // counts the listings started
	of      map[digest]sighting
}

// digest stands for a text of any length. Finding two texts with the same digest is infeasible.
type digest [16]byte

type sighting struct {
	said    digest // of what Defender reported for the action
	state   uint8  // the resulting state, as an index into investigation.States
	listing uint32 // the last listing that showed the action
}

func newMemory() memory { return memory{of: map[digest]sighting{}} }

// begin starts a listing.
func (m *memory) begin() { m.listing++ }

// end forgets the actions that a complete listing did not show: they left the look-back window.
func (m *memory) end() {
	maps.DeleteFunc(m.of, func(_ digest, s sighting) bool { return s.listing != m.listing })
}

// recall returns the ledger's state of an action. remembered reports whether the memory has the action;
// changed reports whether Defender now reports something else, or the memory does not have it.
func (m *memory) recall(a investigation.Action) (state investigation.State, remembered, changed bool) {
	key := digestOf(a.ActionID)
	s, remembered := m.of[key]
	if !remembered {
		return investigation.StateUnknown, false, true
	}
	s.listing = m.listing
	m.of[key] = s
	return investigation.States()[s.state], true, s.said != saidOf(a)
}

// remember notes what Defender reports for an action, and the state the ledger has it in.
func (m *memory) remember(a investigation.Action, state investigation.State) {
	key := digestOf(a.ActionID)
	if _, again := m.of[key]; !again && len(m.of) >= rememberedMax {
		return
	}
	m.of[key] = sighting{
		said: saidOf(a), state: uint8(max(0, slices.Index(investigation.States(), state))),
		listing: m.listing,
	}
}

func digestOf(text string) digest {
	sum := sha256.Sum256([]byte(text))
	return digest(sum[:len(digest{})])
}

// saidOf returns a digest of everything that can change in an action. The host name is included because
// it can be missing at first.
func saidOf(a investigation.Action) digest {
	updated := a.LastUpdatedAt
	return digestOf(fmt.Sprintf("%q %d.%09d %q", a.Status, updated.Unix(), updated.Nanosecond(),
		a.ComputerDNSName))
}
