package poll

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"packhorse/internal/investigation"
)

// rememberedMax bounds the memory: more actions than the budget of getPackageUri carries in two months.
// What is not remembered is read from the ledger with every listing.
const rememberedMax = 200_000

// memory is what the ledger was last told of each action, and what it made of it. It only saves work. It
// keeps digests, because a tenant can have a hundred thousand actions: each takes 40 bytes, whatever its
// names.
type memory struct {
	listing uint32 // counts the listings that were begun
	of      map[digest]sighting
}

// digest stands for a text of any length. Nobody can find two texts that have the same.
type digest [16]byte

type sighting struct {
	said    digest // what Defender said of the action
	state   uint8  // what the ledger made of it, as its place in investigation.States
	listing uint32 // the last one that showed the action
}

func newMemory() memory { return memory{of: map[digest]sighting{}} }

// begin begins a listing.
func (m *memory) begin() { m.listing++ }

// end forgets the actions that the whole of a listing did not show: they left the look-back window.
func (m *memory) end() {
	maps.DeleteFunc(m.of, func(_ digest, s sighting) bool { return s.listing != m.listing })
}

// recall returns the state the ledger has an action in. remembered is false for one that is new here,
// changed for one of which Defender says something else than when it was remembered.
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

// remember keeps what Defender says of an action and what the ledger made of it.
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

// saidOf stands for everything that can change in an action. The name of the host can be missing at
// first.
func saidOf(a investigation.Action) digest {
	updated := a.LastUpdatedAt
	return digestOf(fmt.Sprintf("%q %d.%09d %q", a.Status, updated.Unix(), updated.Nanosecond(),
		a.ComputerDNSName))
}
