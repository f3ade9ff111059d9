package fetch

import (
	"errors"

	"packhorse/internal/investigation"
)

// Outcome says in one word what a fetch or a conclusion came to.
type Outcome string

// The outcomes.
const (
	OutcomeArchived     Outcome = "archived"
	OutcomeNotCollected Outcome = "notCollected"
	OutcomeConcluded    Outcome = "concluded" // what was decided before is in the archive and announced
	OutcomePostponed    Outcome = "postponed" // due again, at the time the ledger names
	OutcomeRefused      Outcome = "refused"   // nothing was done, and no call spent
	OutcomeFailed       Outcome = "failed"    // the ledger could not be told, or nothing could be concluded
)

// Result is what [Fetcher.Fetch] or [Fetcher.Conclude] came to.
type Result struct {
	Outcome Outcome
	// Record is the action's as the ledger has it afterwards; zero if it was refused.
	Record investigation.Record
	// Err says why the action was refused, postponed or failed. Beside archived and notCollected it
	// says why that is not announced yet: the poller hands the action over again.
	Err error
}

// unclaimed decodes the error of a claim.
func unclaimed(err error) Result {
	_, taken := errors.AsType[*investigation.NotClaimableError](err)
	if taken || errors.Is(err, investigation.ErrUnknownAction) {
		return Result{Outcome: OutcomeRefused, Err: err}
	}
	return Result{Outcome: OutcomeFailed, Err: err}
}
