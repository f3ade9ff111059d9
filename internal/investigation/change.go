package investigation

import (
	"fmt"
	"time"
)

// Change is one step of a record on its way: a value that a ledger applies to the record it has and
// writes in one conditional write. Apply is pure. It returns the record to write, which is the one it
// was given if there is nothing to write, or an error and no record. A ledger that does not know the
// action applies the Change to the zero Record; every Change but that of [Observe] then returns
// [ErrUnknownAction].
type Change struct {
	Name  ChangeName
	Apply func(Record) (Record, error)
}

// ChangeName says what a Change does, as a verb.
type ChangeName string

// The changes, in the order of a record's way.
const (
	ChangeObserve  ChangeName = "observe"
	ChangeClaim    ChangeName = "claim"
	ChangeRenew    ChangeName = "renew the lease of"
	ChangeGiveBack ChangeName = "give back"
	ChangeArchive  ChangeName = "archive"
	ChangeClose    ChangeName = "close"
	ChangeSeal     ChangeName = "seal"
	ChangeAnnounce ChangeName = "announce"
)

// Explain adds what was being done to which action to an error of a ledger.
func (c Change) Explain(id ID, err error) error {
	return fmt.Errorf("%s action %s: %w", c.Name, id.ActionID, err)
}

// ofKnown returns a Change of actions that the ledger knows.
func ofKnown(name ChangeName, apply func(Record) (Record, error)) Change {
	return Change{Name: name, Apply: func(r Record) (Record, error) {
		if r.State == StateUnknown {
			return Record{}, ErrUnknownAction
		}
		return apply(r)
	}}
}

// ofOwner returns a Change that only the owner of the lease may make: anyone else gets
// [ErrLeaseLost].
func ofOwner(name ChangeName, owner string, apply func(Record) (Record, error)) Change {
	return ofKnown(name, func(r Record) (Record, error) {
		if r.State != StateFetching || r.Owner != owner {
			return Record{}, ErrLeaseLost
		}
		return apply(r)
	})
}

// Observe records what Defender says of an action. Only an unknown or waiting record changes: later
// states are Packhorse's own, and an old page of the list cannot take them back.
func Observe(a Action, now time.Time) Change {
	return Change{Name: ChangeObserve, Apply: func(r Record) (Record, error) {
		if r.State != StateUnknown && r.State != StateWaiting {
			return r, nil
		}
		return r.observed(a, now), nil
	}}
}

func (r Record) observed(a Action, now time.Time) Record {
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
		return next
	}
	next.DueAt = cut(now)
	next.Lane = LaneOf(a.CompletedAt(), next.ObservedAt)
	if next.State.Settled() {
		next.Lane = LaneSettled
	}
	return next
}

// Claim gives the package to owner until leaseUntil, and counts an attempt. It returns a
// *[NotClaimableError] unless the record is ready and due, or its lease has run out. If owner holds
// it already, because the answer to an earlier claim was lost, nothing changes.
func Claim(owner string, now, leaseUntil time.Time) Change {
	return ofKnown(ChangeClaim, func(r Record) (Record, error) {
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
	})
}

// Renew moves the end of owner's lease.
func Renew(owner string, leaseUntil time.Time) Change {
	return ofOwner(ChangeRenew, owner, func(r Record) (Record, error) { return r.leased(leaseUntil), nil })
}

// leased returns r with its lease, and so its next due time, at until.
func (r Record) leased(until time.Time) Record {
	r.LeaseUntil = cut(until)
	r.DueAt = r.LeaseUntil
	return r
}

// Release says how a fetcher gives back a package it could not fetch this time.
type Release struct {
	At      time.Time // when it is given back
	DueAt   time.Time // when to try again
	Message string    // why; without links and tokens
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

// GiveBack makes the package due again at rel.DueAt.
func GiveBack(owner string, rel Release) Change {
	return ofOwner(ChangeGiveBack, owner, func(r Record) (Record, error) {
		next := r.left(StateReady)
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
	})
}

// left returns r out of its owner's hands and in state next.
func (r Record) left(next State) Record {
	r.State = next
	r.Owner = ""
	r.LeaseUntil = time.Time{}
	return r
}

// Arrival says that a package is in the archive.
type Arrival struct {
	At        time.Time
	Receipt   Receipt
	Strangers Strangers // found in the archive meanwhile
}

// Archive records that the package is in the archive. The record stays due, at its present DueAt,
// until it is announced. A ledger writes it only together with its seal.
func Archive(owner string, a Arrival) Change {
	return ofOwner(ChangeArchive, owner, func(r Record) (Record, error) {
		next := r.left(StateArchived)
		next.Lane = LaneSettled
		next.Receipt = a.Receipt
		next.Strangers = r.Strangers.Merge(a.Strangers)
		next.ManifestKey = Key(a.Receipt.Key).Manifest()
		next.ArchivedAt = instant(a.At)
		next.Message = ""
		return next, nil
	})
}

// Closing says why a fetcher gives up on a package.
type Closing struct {
	At      time.Time
	Reason  Reason
	Message string // without links and tokens
	// Quarantine is the receipt of what came in the package's place; zero if nothing was kept.
	Quarantine Receipt
	Strangers  Strangers // found in the archive meanwhile
}

// Close records that the package will not come. The record stays due, at its present DueAt, until it
// is announced. A ledger writes it only together with its seal.
func Close(owner string, c Closing) Change {
	return ofOwner(ChangeClose, owner, func(r Record) (Record, error) {
		next := r.left(StateNotCollected)
		next.Lane = LaneSettled
		next.Reason = c.Reason
		next.Message = c.Message
		next.Journal = r.Journal.Add(c.At, c.Message)
		next.Quarantine = c.Quarantine
		next.Strangers = r.Strangers.Merge(c.Strangers)
		return next, nil
	})
}

// Unchanged is the Change of a decided record that is only to be sealed.
func Unchanged() Change {
	return ofKnown(ChangeSeal, func(r Record) (Record, error) { return r, nil })
}

// Conclusion says that an outcome was announced.
type Conclusion struct {
	At time.Time
	// ManifestKey is where the outcome's manifest lies; empty for its first place.
	ManifestKey string
	Strangers   Strangers // found in the archive meanwhile
}

// Announce records that the archive has the manifests and the bus took the outcome. A record that is
// done stays as it is. One whose outcome is open, or that is not sealed, gives [ErrIllegalChange].
func Announce(c Conclusion) Change {
	return ofKnown(ChangeAnnounce, func(r Record) (Record, error) {
		if r.State == StateDone {
			return r, nil
		}
		if !r.State.CanBecome(StateDone) || !r.IsSealed() {
			return Record{}, fmt.Errorf("%w: it is %s, and sealed is %t", ErrIllegalChange, r.State, r.IsSealed())
		}
		next := r
		if c.ManifestKey != "" {
			next.ManifestKey = c.ManifestKey
		}
		next.Strangers = r.Strangers.Merge(c.Strangers)
		next.State = StateDone
		next.Seal.Manifest, next.QuarantineSeal.Manifest = "", ""
		next.Lane = ""
		next.DueAt = time.Time{}
		next.AnnouncedAt = instant(c.At)
		return next, nil
	})
}
