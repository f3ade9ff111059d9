package poll

import (
	"time"

	"packhorse/internal/investigation"
)

// Answer is the result of a tick. The metrics are derived from it.
type Answer struct {
	Sweeps int `json:"sweeps"`
	// Completed counts the sweeps that finished a listing and wrote all of it to the ledger.
	Completed           int     `json:"completed"`
	LongestSweepSeconds float64 `json:"longestSweepSeconds"`
	Seen                int     `json:"seen"`         // actions that were new to the ledger
	Ready               int     `json:"ready"`        // actions that became ready
	NotCollected        int     `json:"notCollected"` // actions that ended without a package, by Defender's account
	HandedOver          int     `json:"handedOver"`   // Ready events that the bus took
	Decided             int     `json:"settled"`      // Decided events that the bus took

	Tenants        int `json:"tenants"`        // that were served
	Failing        int `json:"failing"`        // of which the last step failed, or one of this tick
	WithoutConsent int `json:"withoutConsent"` // of which, because they have not consented to the app
	StalestSeconds int `json:"stalestSeconds"` // since the last completed sweep of the tenant that waits the longest

	// As of the last step:
	Due                int `json:"due"`                // actions with something to do
	OldestReadySeconds int `json:"oldestReadySeconds"` // age of the oldest due package; 0 if there is none
}

// and returns the result of a tick with one more step: it adds the counts, and takes the fields that
// describe the last step from next.
func (a Answer) and(next Answer) Answer {
	return Answer{
		Sweeps:              a.Sweeps + next.Sweeps,
		Completed:           a.Completed + next.Completed,
		LongestSweepSeconds: max(a.LongestSweepSeconds, next.LongestSweepSeconds),
		Seen:                a.Seen + next.Seen,
		Ready:               a.Ready + next.Ready,
		NotCollected:        a.NotCollected + next.NotCollected,
		HandedOver:          a.HandedOver + next.HandedOver,
		Decided:             a.Decided + next.Decided,
		Due:                 next.Due,
		OldestReadySeconds:  next.OldestReadySeconds,
	}
}

// beside returns the combined result of two tenants.
func (a Answer) beside(other Answer) Answer {
	sum := a.and(other)
	sum.Due = a.Due + other.Due
	sum.OldestReadySeconds = max(a.OldestReadySeconds, other.OldestReadySeconds)
	sum.Tenants, sum.Failing, sum.WithoutConsent = a.Tenants, a.Failing, a.WithoutConsent
	sum.StalestSeconds = a.StalestSeconds
	return sum
}

func (a *Answer) swept(took time.Duration, completed bool) {
	a.Sweeps++
	if completed {
		a.Completed++
	}
	a.LongestSweepSeconds = max(a.LongestSweepSeconds, took.Seconds())
}

// observed counts an action that went from one state to another. An action that is new to the ledger
// goes from the unknown state.
func (a *Answer) observed(before, after investigation.State) {
	if before == after {
		return
	}
	if before == investigation.StateUnknown {
		a.Seen++
	}
	switch after {
	case investigation.StateReady:
		if before == investigation.StateUnknown || before == investigation.StateWaiting {
			a.Ready++
		}
	case investigation.StateNotCollected:
		a.NotCollected++
	}
}
