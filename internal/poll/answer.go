package poll

import (
	"time"

	"packhorse/internal/investigation"
)

// Answer is what a tick came to. Metrics are made of it.
type Answer struct {
	Sweeps              int     `json:"sweeps"`
	LongestSweepSeconds float64 `json:"longestSweepSeconds"`
	Seen                int     `json:"seen"`         // actions that were new to the ledger
	Ready               int     `json:"ready"`        // actions that became ready
	NotCollected        int     `json:"notCollected"` // actions that Defender says ended without a package
	HandedOver          int     `json:"handedOver"`   // Ready events that the bus took
	Settled             int     `json:"settled"`      // Settled events that the bus took

	// As the last step left them:
	Due                int `json:"due"`                // actions with something to do
	OldestReadySeconds int `json:"oldestReadySeconds"` // since the oldest due package came to be; 0 without
}

// and returns what a tick came to with one step more. Of the last step it has how that left things.
func (a Answer) and(next Answer) Answer {
	return Answer{
		Sweeps:              a.Sweeps + next.Sweeps,
		LongestSweepSeconds: max(a.LongestSweepSeconds, next.LongestSweepSeconds),
		Seen:                a.Seen + next.Seen,
		Ready:               a.Ready + next.Ready,
		NotCollected:        a.NotCollected + next.NotCollected,
		HandedOver:          a.HandedOver + next.HandedOver,
		Settled:             a.Settled + next.Settled,
		Due:                 next.Due,
		OldestReadySeconds:  next.OldestReadySeconds,
	}
}

func (a *Answer) swept(took time.Duration) {
	a.Sweeps++
	a.LongestSweepSeconds = max(a.LongestSweepSeconds, took.Seconds())
}

// observed counts an action that was in one state and is in another. The unknown state is that of an
// action the ledger had never heard of.
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
