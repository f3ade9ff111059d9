package investigation

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Record is what the ledger knows of one action. The zero Record (StateUnknown) is an action never
// seen. A [Change] is the only way from one state to the next.
//
// Times that are compared with a clock (DueAt, LeaseUntil) are cut to milliseconds, the precision
// every ledger keeps. All times are in UTC and without a monotonic reading, so that a record is
// equal (==) to what a ledger gives back of it.
type Record struct {
	Action
	State State

	// Attempts counts the claims that were, or may have been, spent on the package. ExpiredLinks
	// counts links that were refused as too old; they are no attempts.
	Attempts     int
	ExpiredLinks int

	Owner      string    // who works on it; set in fetching only
	LeaseUntil time.Time // until when; set in fetching only

	Claims    Claims    // the owners of the latest claims; an object in the archive names one of them
	Strangers Strangers // what lay in the archive in this action's places, and is not Packhorse's

	// DueAt and Lane are the due index: Lane is empty where nothing is to be done.
	DueAt time.Time
	Lane  Lane

	Receipt     Receipt // set from archived on
	ManifestKey string  // set where Seal is
	Reason      Reason  // set from notCollected on
	Message     string  // what went wrong last, in words; free of links and tokens
	Journal     Journal // why earlier attempts failed

	// Quarantine is the receipt of what came in the package's place, where that was kept, and
	// QuarantineSeal its manifest's. Seal is the outcome's: an archived record has it, one that is
	// not collected gets it before it is announced.
	Quarantine     Receipt
	QuarantineSeal Seal
	Seal           Seal

	ObservedAt  time.Time // first sight
	ArchivedAt  time.Time
	AnnouncedAt time.Time
}

// ByCreation orders records: the oldest action first, and the ids of those of one moment.
func ByCreation(a, b Record) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ActionID, b.ActionID))
}

// Lane sorts the due work: live before backlog, and apart from both what is settled, so that a backlog
// of days does not keep back what is decided.
type Lane string

const (
	// LaneLive is the lane of packages somebody is waiting for now.
	LaneLive Lane = "live"
	// LaneBacklog is the lane of packages that had been lying there when Packhorse came.
	LaneBacklog Lane = "backlog"
	// LaneSettled is the lane of actions whose outcome is decided and still to be recorded and announced.
	LaneSettled Lane = "settled"
)

// Lanes lists the lanes. Packages are served in this order.
func Lanes() []Lane { return []Lane{LaneLive, LaneBacklog, LaneSettled} }

// backlogAge is how long before its first sight an action must have completed to be backlog.
const backlogAge = 24 * time.Hour

// LaneOf is the rule for the lane of a package: backlog is what completed more than 24 hours before it was first seen.
func LaneOf(completedAt, firstSeenAt time.Time) Lane {
	if firstSeenAt.Sub(completedAt) > backlogAge {
		return LaneBacklog
	}
	return LaneLive
}

var (
	// ErrUnknownAction: the ledger has no record of the action.
	ErrUnknownAction = errors.New("the ledger does not know this action")
	// ErrLeaseLost: the caller does not (or no longer) own the record; somebody else may be at
	// work on it. The caller MUST stop and change nothing.
	ErrLeaseLost = errors.New("the lease on the action is lost")
	// ErrIllegalChange: the state machine has no such change.
	ErrIllegalChange = errors.New("illegal change of state")
	// ErrBadRecord: what the ledger has, or was to be given, under an action's id is not a record
	// ([Record.Validate]). What it has is left as it is; the work on other actions goes on.
	ErrBadRecord = errors.New("the record makes no sense")
)

// NotClaimableError says that there is nothing to claim now: the record is being worked on, is
// finished, or is due only later. It is the normal answer to a Ready event that came twice.
type NotClaimableError struct {
	ID    ID
	State State
	Until time.Time // when it may become claimable; zero where it never will
}

func (e *NotClaimableError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("action %s cannot be claimed: it is %s", e.ID.ActionID, e.State)
	}
	return fmt.Sprintf("action %s cannot be claimed before %s: it is %s",
		e.ID.ActionID, e.Until.UTC().Format(time.RFC3339), e.State)
}

// Due reports whether there is something to do for the record now: a package to fetch, a lease
// that ran out, an outcome to announce.
func (r Record) Due(now time.Time) bool { return r.Lane != "" && !r.DueAt.After(now) }

// Claimable reports whether a [Claim] would succeed now.
func (r Record) Claimable(now time.Time) bool {
	return (r.State == StateReady || r.State == StateFetching) && r.Due(now)
}

// HasUnnamedClaims reports whether a release that did not write names of claims may have worked on
// the package. What it stored carries no such name.
func (r Record) HasUnnamedClaims() bool {
	return r.Attempts+r.ExpiredLinks > len(r.Claims.list())
}

// instant returns t in the one form in which equal instants are equal values.
func instant(t time.Time) time.Time { return t.Round(0).UTC() }

func cut(t time.Time) time.Time { return instant(t).Truncate(time.Millisecond) }
