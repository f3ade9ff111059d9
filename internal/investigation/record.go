package investigation

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Record is what the ledger knows of one action. The zero Record (StateUnknown) is an action never
// seen. Its methods are the only way from one state to the next; each returns the Record to be
// written, or an error and nothing to write.
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

// Observe returns the record after Defender was seen to say a, and whether it differs from r.
// Only an unknown or waiting record changes: later states are Packhorse's own and an old page of
// the list cannot take them back.
func (r Record) Observe(a Action, now time.Time) (Record, bool) {
	if r.State != StateUnknown && r.State != StateWaiting {
		return r, false
	}
	next := r
	next.Action = a
	next.CreatedAt = instant(a.CreatedAt)
	next.LastUpdatedAt = instant(a.LastUpdatedAt)
	next.State, next.Reason = a.Status.outcome()
	if r.State == StateUnknown {
		next.ObservedAt = instant(now)
	}
	if next.State == StateWaiting {
		next.LastUpdatedAt = time.Time{} // it moves while nothing happens: not worth a write
		return next, next != r
	}
	next.DueAt = cut(now)
	next.Lane = LaneOf(a.CompletedAt(), next.ObservedAt)
	if next.State.Settled() {
		next.Lane = LaneSettled
	}
	return next, true
}

// Due reports whether there is something to do for the record now: a package to fetch, a lease
// that ran out, an outcome to announce.
func (r Record) Due(now time.Time) bool { return r.Lane != "" && !r.DueAt.After(now) }

// Claimable reports whether Claim would succeed now.
func (r Record) Claimable(now time.Time) bool {
	return (r.State == StateReady || r.State == StateFetching) && r.Due(now)
}

// Claim makes owner the one who works on the package until leaseUntil, and counts an attempt. It
// returns a *[NotClaimableError] unless the record is ready and due, or its lease ran out.
//
// A claim by the present owner (its earlier answer was lost on the way) gives the same record
// again.
func (r Record) Claim(owner string, now, leaseUntil time.Time) (Record, error) {
	if r.State == StateFetching && r.Owner == owner {
		return r, nil
	}
	if !r.Claimable(now) {
		e := &NotClaimableError{ID: r.ID, State: r.State}
		if r.State == StateReady || r.State == StateFetching {
			e.Until = r.DueAt
		}
		return Record{}, e
	}
	next := r
	if r.State == StateFetching {
		next.Journal = r.Journal.Add(now, "the attempt ended without a word, and its lease ran out")
	}
	next.State = StateFetching
	next.Owner = owner
	next.Claims = r.Claims.Add(owner)
	next.Attempts++
	return next.leased(leaseUntil), nil
}

// HasUnnamedClaims reports whether a release that did not write names of claims may have worked on
// the package. What it stored carries no such name.
func (r Record) HasUnnamedClaims() bool {
	return r.Attempts+r.ExpiredLinks > len(r.Claims.list())
}

// Renew moves the end of owner's lease. It returns ErrLeaseLost to anyone else.
func (r Record) Renew(owner string, leaseUntil time.Time) (Record, error) {
	if err := r.ownedBy(owner); err != nil {
		return Record{}, err
	}
	return r.leased(leaseUntil), nil
}

// Release is how a fetcher gives back a package it could not carry this time.
type Release struct {
	At      time.Time // when it is given back
	DueAt   time.Time // when to try again
	Message string    // why; free of links and tokens
	Charge  Charge
	// Strangers were found in the archive meanwhile.
	Strangers Strangers
}

// Charge says what an unsuccessful claim counts as.
type Charge int

const (
	// ChargeAttempt: the package was tried and did not come.
	ChargeAttempt Charge = iota
	// ChargeLink: the link was refused as expired. Not an attempt.
	ChargeLink
	// ChargeNothing: the budget, a throttle or the credential stood in the way, not the package.
	ChargeNothing
)

// Release makes the action due again at rel.DueAt. It returns ErrLeaseLost unless owner holds the
// lease.
func (r Record) Release(owner string, rel Release) (Record, error) {
	next, err := r.leave(owner, StateReady)
	if err != nil {
		return Record{}, err
	}
	next.DueAt = cut(rel.DueAt)
	next.Message = rel.Message
	next.Strangers = r.Strangers.Merge(rel.Strangers)
	if rel.Charge != ChargeNothing {
		next.Journal = r.Journal.Add(rel.At, rel.Message)
	}
	switch rel.Charge {
	case ChargeLink:
		next.Attempts--
		next.ExpiredLinks++
	case ChargeNothing:
		next.Attempts--
		next.Claims = r.Claims.Without(owner) // nothing was sent, so nothing can carry its name
	case ChargeAttempt:
	}
	return next, nil
}

// Arrival is how a fetcher reports a package that is in the archive.
type Arrival struct {
	At        time.Time
	Receipt   Receipt
	Strangers Strangers // found in the archive meanwhile
}

// Archived records that the package is in the archive. The record stays due (its DueAt is kept)
// until it was announced. It returns ErrLeaseLost unless owner holds the lease. A ledger writes it
// only together with what [Record.Sealed] makes of it.
func (r Record) Archived(owner string, a Arrival) (Record, error) {
	next, err := r.leave(owner, StateArchived)
	if err != nil {
		return Record{}, err
	}
	next.Lane = LaneSettled
	next.Receipt = a.Receipt
	next.Strangers = r.Strangers.Merge(a.Strangers)
	next.ManifestKey = Key(a.Receipt.Key).Manifest()
	next.ArchivedAt = instant(a.At)
	next.Message = ""
	return next, nil
}

// Closing is how a fetcher gives up on a package.
type Closing struct {
	At      time.Time
	Reason  Reason
	Message string // free of links and tokens
	// Quarantine is the receipt of what came in the package's place; zero where nothing was kept.
	Quarantine Receipt
	Strangers  Strangers // found in the archive meanwhile
}

// NotCollected records that there will be no package. The record stays due (its DueAt is kept)
// until it was announced. It returns ErrLeaseLost unless owner holds the lease. A ledger writes it
// only together with what [Record.Sealed] makes of it.
func (r Record) NotCollected(owner string, c Closing) (Record, error) {
	next, err := r.leave(owner, StateNotCollected)
	if err != nil {
		return Record{}, err
	}
	next.Lane = LaneSettled
	next.Reason = c.Reason
	next.Message = c.Message
	next.Journal = r.Journal.Add(c.At, c.Message)
	next.Quarantine = c.Quarantine
	next.Strangers = r.Strangers.Merge(c.Strangers)
	return next, nil
}

// Conclusion is how a fetcher reports that an outcome was announced.
type Conclusion struct {
	At time.Time
	// ManifestKey is where the outcome's manifest lies; empty: where it always does.
	ManifestKey string
	Strangers   Strangers // found in the archive meanwhile
}

// Concluded returns the record with what was found while it was concluded.
func (r Record) Concluded(c Conclusion) Record {
	if c.ManifestKey != "" {
		r.ManifestKey = c.ManifestKey
	}
	r.Strangers = r.Strangers.Merge(c.Strangers)
	return r
}

// Announced records that the archive has the manifests and the bus took the outcome. A record that
// is done already stays as it is; one whose outcome is still open, or not sealed, gives
// ErrIllegalChange.
func (r Record) Announced(c Conclusion) (Record, error) {
	if r.State == StateDone {
		return r, nil
	}
	if !r.State.CanBecome(StateDone) || !r.IsSealed() {
		return Record{}, fmt.Errorf("announce action %s: %w: it is %s, and sealed is %t",
			r.ActionID, ErrIllegalChange, r.State, r.IsSealed())
	}
	next := r.Concluded(c)
	next.State = StateDone
	next.Seal.Manifest, next.QuarantineSeal.Manifest = "", ""
	next.Lane = ""
	next.DueAt = time.Time{}
	next.AnnouncedAt = instant(c.At)
	return next, nil
}

func (r Record) ownedBy(owner string) error {
	if r.State != StateFetching || r.Owner != owner {
		return fmt.Errorf("action %s: %w", r.ActionID, ErrLeaseLost)
	}
	return nil
}

// leased returns r with its lease, and so its next due time, at until.
func (r Record) leased(until time.Time) Record {
	r.LeaseUntil = cut(until)
	r.DueAt = r.LeaseUntil
	return r
}

// leave returns r out of owner's hands and in state next.
func (r Record) leave(owner string, next State) (Record, error) {
	if err := r.ownedBy(owner); err != nil {
		return Record{}, err
	}
	r.State = next
	r.Owner = ""
	r.LeaseUntil = time.Time{}
	return r, nil
}

// instant returns t in the one form in which equal instants are equal values.
func instant(t time.Time) time.Time { return t.Round(0).UTC() }

func cut(t time.Time) time.Time { return instant(t).Truncate(time.Millisecond) }
