package investigation

import "slices"

// State is where an action stands on its way into the archive.
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
	// StateWaiting: Defender has not finished the action, or calls its status by an unknown name.
	StateWaiting State = "waiting"
	// StateReady: the action succeeded; its package can be asked for from Record.DueAt on.
	StateReady State = "ready"
	// StateFetching: Record.Owner works on the package until Record.LeaseUntil.
	StateFetching State = "fetching"
	// StateArchived: the package is in the archive (Record.Receipt); the bus does not know yet.
	StateArchived State = "archived"
	// StateNotCollected: there will be no package (Record.Reason); the bus does not know yet.
	StateNotCollected State = "notCollected"
	// StateDone: what came of the action was announced. Nothing follows.
	StateDone State = "done"
)

// States lists every state an action can be in, in the order of its path.
func States() []State {
	return []State{StateUnknown, StateWaiting, StateReady, StateFetching, StateArchived,
		StateNotCollected, StateDone}
}

// legalChanges is the whole state machine. fetching → fetching is a claim of a lease that ran out:
// the first run and its repetition are one path, so there is no detour through ready.
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

// Settled reports whether it is decided what became of the package: it is archived, or it will
// never be collected.
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
	// ReasonExpired: the action succeeded, but its package stayed unobtainable.
	ReasonExpired Reason = "Expired"
	// ReasonInvalid: what came, again and again, is not a package.
	ReasonInvalid Reason = "Invalid"
)

// Reasons lists every reason, Defender's first.
func Reasons() []Reason {
	return []Reason{ReasonFailed, ReasonTimeOut, ReasonCancelled, ReasonExpired, ReasonInvalid}
}

// outcome is the state a status of Defender's calls for.
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
