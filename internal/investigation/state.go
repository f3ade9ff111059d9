package investigation

import "slices"

// State says how far an action has come on its way into the archive.
//
//	            ┌──────────► notCollected ──announce──► done
//	waiting ────┤                 ▲
//	            └─► ready ─► fetching ──────► archived ──announce──► done
//	                 ▲           │
//	                 └─ release ─┘
type State string

const (
	// StateUnknown is the state of an action the ledger has never seen.
	StateUnknown State = ""
	// StateWaiting: Defender has not finished the action, or reports a status we do not know.
	StateWaiting State = "waiting"
	// StateReady: the action succeeded; its package can be requested from Record.DueAt on.
	StateReady State = "ready"
	// StateFetching: Record.Owner works on the package until Record.LeaseUntil.
	StateFetching State = "fetching"
	// StateArchived: the package is in the archive (Record.Receipt), but not announced yet.
	StateArchived State = "archived"
	// StateNotCollected: there will be no package (Record.Reason), but that is not announced yet.
	StateNotCollected State = "notCollected"
	// StateDone: the outcome was announced. Nothing follows.
	StateDone State = "done"
)

// States lists every state, in the order an action goes through them.
func States() []State {
	return []State{StateUnknown, StateWaiting, StateReady, StateFetching, StateArchived,
		StateNotCollected, StateDone}
}

// legalChanges is the whole state machine. fetching → fetching is a claim after a lease ran out: a
// repeated attempt takes the same path as the first, without a detour through ready.
var legalChanges = map[State][]State{
	StateUnknown:      {StateWaiting, StateReady, StateNotCollected},
	StateWaiting:      {StateReady, StateNotCollected},
	StateReady:        {StateFetching},
	StateFetching:     {StateFetching, StateReady, StateArchived, StateNotCollected},
	StateArchived:     {StateDone},
	StateNotCollected: {StateDone},
}

// CanBecome reports whether a change from s to next is legal.
func (s State) CanBecome(next State) bool { return slices.Contains(legalChanges[s], next) }

// Settled reports whether the outcome is decided: the package is archived, or it will never be
// collected.
func (s State) Settled() bool {
	return s == StateArchived || s == StateNotCollected || s == StateDone
}

// Reason says why there will be no package.
type Reason string

const (
	// ReasonFailed, ReasonTimeOut and ReasonCancelled are Defender's verdicts on the action.
	ReasonFailed    Reason = "Failed"
	ReasonTimeOut   Reason = "TimeOut"
	ReasonCancelled Reason = "Cancelled"
	// ReasonExpired: the action succeeded, but its package could not be obtained.
	ReasonExpired Reason = "Expired"
	// ReasonInvalid: the download is not a package, again and again.
	ReasonInvalid Reason = "Invalid"
)

// Reasons lists every reason, Defender's first.
func Reasons() []Reason {
	return []Reason{ReasonFailed, ReasonTimeOut, ReasonCancelled, ReasonExpired, ReasonInvalid}
}

// outcome returns the state, and the reason if there is one, that follow from Defender's status.
func (s Status) outcome() (State, Reason) {
	switch s {
	case StatusSucceeded:
		return StateReady, ""
	case StatusFailed:
		return StateNotCollected, ReasonFailed
	case StatusTimeOut:
		return StateNotCollected, ReasonTimeOut
	case StatusCancelled:
		return StateNotCollected, ReasonCancelled
	default:
		return StateWaiting, ""
	}
}
