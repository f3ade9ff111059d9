package investigation

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Record is what the ledger knows about one action. The zero Record (StateUnknown) is an action the
// ledger has never seen. Only a [Change] takes a record from one state to the next.
//
// Times that are compared with a clock (DueAt, ClaimedAt, LeaseUntil) are cut to milliseconds, the precision that
// every ledger keeps. All times are in UTC and without a monotonic reading, so a record read back from
// a ledger is equal (==) to the one written.
type Record struct {
	Action
	State State

	// Attempts counts the claims that were, or may have been, spent on the package. ExpiredLinks
	// counts links that were refused as too old; they do not count as attempts.
	Attempts     int
	ExpiredLinks int

	Owner      string    // who works on it; set only while fetching
	ClaimedAt  time.Time // since when; set only while fetching, and not by earlier releases
	LeaseUntil time.Time // until when; set only while fetching

	Claims    Claims    // the owners of the latest claims; an object in the archive names one of them
	Strangers Strangers // objects found in this action's places that Packhorse did not store

	// DueAt and Lane are the due index. Lane is empty if there is nothing to do.
	DueAt time.Time
	Lane  Lane

	Receipt     Receipt // set from archived on
	ManifestKey string  // set together with Seal
	Reason      Reason  // set from notCollected on
	Message     string  // the last failure, in words; free of links and tokens
	Cause       Cause   // the same in one word; set by a release, until the outcome is decided
	Journal     Journal // why earlier attempts failed

	// Quarantine is the receipt of a download that is not a package, if it was kept, and QuarantineSeal
	// is the seal of its manifest. Seal belongs to the outcome's manifest: an archived record always has
	// it, a record that is not collected gets it before it is announced.
	Quarantine     Receipt
	QuarantineSeal Seal
	Seal           Seal

	ObservedAt  time.Time // when the ledger first saw the action
	ArchivedAt  time.Time
	AnnouncedAt time.Time
}

// ByCreation orders records by creation time, oldest first, and then by action id.
func ByCreation(a, b Record) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ActionID, b.ActionID))
}

// AnnouncedSince reports whether the outcome was announced at t or later.
func (r Record) AnnouncedSince(t time.Time) bool {
	return r.State == StateDone && !r.AnnouncedAt.Before(t)
}

// Lane sorts the due work. Live packages come before the backlog; decided actions have a lane of their
// own, so that a backlog of days does not hold them up.
type Lane string

const (
	// LaneLive is the lane of packages somebody is waiting for now.
	LaneLive Lane = "live"
	// LaneBacklog is the lane of packages that were already old when Packhorse first saw them.
	LaneBacklog Lane = "backlog"
	// LaneDecided is the lane of decided actions that still have to be recorded and announced.
	LaneDecided Lane = "settled"
)

// Lanes lists the lanes in the order they are served.
func Lanes() []Lane { return []Lane{LaneLive, LaneBacklog, LaneDecided} }

// backlogAge is how old a package must be at first sight to count as backlog.
const backlogAge = 24 * time.Hour

// LaneOf returns the lane of a package: backlog if the action completed more than 24 hours before it
// was first seen, else live.
func LaneOf(completedAt, firstSeenAt time.Time) Lane {
	if firstSeenAt.Sub(completedAt) > backlogAge {
		return LaneBacklog
	}
	return LaneLive
}

var (
	// ErrUnknownAction: the ledger has no record of the action.
	ErrUnknownAction = errors.New("action not in the ledger")
	// ErrLeaseLost: the caller does not own the record, or no longer does; somebody else may be working
	// on it. The caller MUST stop and change nothing.
	ErrLeaseLost = errors.New("lease lost")
	// ErrIllegalChange: the state machine does not allow this change.
	ErrIllegalChange = errors.New("illegal state change")
	// ErrBadRecord: the record that the ledger holds, or was asked to write, fails [Record.Validate].
	// The ledger leaves a stored one as it is; work on other actions goes on.
	ErrBadRecord = errors.New("invalid record")
)

// NotClaimableError says that there is nothing to claim now: somebody is working on the record, it is
// finished, or it is due later. It is the normal answer to a Ready event that arrives twice.
type NotClaimableError struct {
	ID    ID
	State State
	Until time.Time // when it may become claimable; zero if it never will
}

func (e *NotClaimableError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("not claimable: it is %s", e.State)
	}
	return fmt.Sprintf("not claimable before %s: it is %s", e.Until.UTC().Format(time.RFC3339), e.State)
}

// Due reports whether the record needs work now: a package to fetch, a lease that ran out, or an
// outcome to announce.
func (r Record) Due(now time.Time) bool { return r.Lane != "" && !r.DueAt.After(now) }

// Claimable reports whether a [Claim] would succeed now.
func (r Record) Claimable(now time.Time) bool {
	return (r.State == StateReady || r.State == StateFetching) && r.Due(now)
}

// HasUnnamedClaims reports whether an earlier release, which did not write the names of claims, may
// have worked on the package. Objects that it stored do not carry a name.
func (r Record) HasUnnamedClaims() bool {
	return r.Attempts+r.ExpiredLinks > len(r.Claims.list())
}

// instant normalizes t: equal instants become equal values (==).
func instant(t time.Time) time.Time { return t.Round(0).UTC() }

func cut(t time.Time) time.Time { return instant(t).Truncate(time.Millisecond) }
