package fetch

import (
	"errors"

	"packhorse/internal/investigation"
)

// Outcome says in one word how a fetch or a conclusion ended.
type Outcome string

// The outcomes.
const (
	OutcomeArchived     Outcome = "archived"
	OutcomeNotCollected Outcome = "notCollected"
	OutcomeConcluded    Outcome = "concluded" // the earlier decision is now in the archive and announced
	OutcomePostponed    Outcome = "postponed" // due again, at the time in the ledger
	OutcomeRefused      Outcome = "refused"   // nothing was done, and no call was spent
	OutcomeFailed       Outcome = "failed"    // the ledger could not be written, or the action not concluded
)

// Result is the result of [Fetcher.Fetch] or [Fetcher.Conclude].
type Result struct {
	Outcome Outcome
	// Record is the action's record as the ledger has it afterward; zero if the action was refused.
	Record investigation.Record
	// Err says why the action was refused, postponed or failed. With archived and notCollected it says why
	// the outcome is not announced yet; the poller then hands the action over again.
	Err error
}

// unclaimed returns the Result of a claim that failed with err.
func unclaimed(err error) Result {
	_, taken := errors.AsType[*investigation.NotClaimableError](err)
	if taken || errors.Is(err, investigation.ErrUnknownAction) {
		return Result{Outcome: OutcomeRefused, Err: err}
	}
	return Result{Outcome: OutcomeFailed, Err: err}
}
