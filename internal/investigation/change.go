package investigation

import (
	"fmt"
	"time"
)

// Change is one transition of a record. A ledger applies it to the record it holds and writes the
// result in one conditional write.
//
// Apply is pure. It returns the record to write, or an error and the zero Record. If it returns the
// record it was given, there is nothing to write. A ledger that does not know the action applies the
// Change to the zero Record; only [Observe] accepts that, all others return [ErrUnknownAction].
type Change struct {
	Name  ChangeName
	Apply func(Record) (Record, error)
}

// ChangeName is the verb for what a Change does, as in "claim action X".
type ChangeName string

// The changes, in the order a record goes through them.
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

// Explain adds to a ledger's error which change failed, and for which action.
func (c Change) Explain(id ID, err error) error {
	return fmt.Errorf("%s action %s: %w", c.Name, id.ActionID, err)
}

// ofKnown returns a Change that is only for actions the ledger knows.
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

// Observe records what Defender reports for an action. It changes only a record that is unknown or
// waiting: Packhorse owns the later states, and an old page of the list must not undo them.
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
		next.LastUpdatedAt = time.Time{} // Defender moves it even when nothing happens: not worth a write
		return next
	}
	next.DueAt = cut(now)
	next.Lane = LaneOf(a.CompletedAt(), next.ObservedAt)
	if next.State.Decided() {
		next.Lane = LaneDecided
	}
	return next
}

// Claim gives the package to owner until leaseUntil, and counts an attempt. It fails with a
// *[NotClaimableError] unless the record is ready and due, or its lease has run out. If owner already
// holds it, because the answer to an earlier claim was lost, nothing changes.
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
			next.Journal = r.Journal.Add(now, "the attempt never reported back, and its lease ran out")
		}
		next.State = StateFetching
		next.Owner = owner
		next.ClaimedAt = cut(now)
		next.Claims = r.Claims.Add(owner)
		next.Attempts++
		return next.leased(leaseUntil), nil
	})
}

// Renew moves the end of owner's lease to leaseUntil.
func Renew(owner string, leaseUntil time.Time) Change {
	return ofOwner(ChangeRenew, owner, func(r Record) (Record, error) { return r.leased(leaseUntil), nil })
}

// leased returns r leased until the given time, which is also when it is next due.
func (r Record) leased(until time.Time) Record {
	r.LeaseUntil = cut(until)
	r.DueAt = r.LeaseUntil
	return r
}

// Release says how a fetcher gives back a package it could not fetch this time.
type Release struct {
	At      time.Time // when it is given back
	DueAt   time.Time // when to try again
	Message string    // why; free of links and tokens
	Cause   Cause     // the same in one word
	Charge  Charge
	// Strangers were found in the archive during the attempt.
	Strangers Strangers
}

// Charge says what an unsuccessful claim counts as.
type Charge int

const (
	// ChargeAttempt: the fetcher asked for the package and did not get it.
	ChargeAttempt Charge = iota
	// ChargeLink: the link was refused as expired. This does not count as an attempt.
	ChargeLink
	// ChargeNothing: the budget, a throttle or the credential was in the way, not the package.
	ChargeNothing
)

// GiveBack makes the package due again at rel.DueAt.
func GiveBack(owner string, rel Release) Change {
	return ofOwner(ChangeGiveBack, owner, func(r Record) (Record, error) {
		next := r.left(StateReady)
		next.DueAt = cut(rel.DueAt)
		next.Message, next.Cause = rel.Message, rel.Cause
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
			next.Claims = r.Claims.Without(owner) // nothing was sent, so no object can carry its name
		case ChargeAttempt:
		}
		return next, nil
	})
}

// left returns r without an owner, in state next.
func (r Record) left(next State) Record {
	r.State = next
	r.Owner = ""
	r.ClaimedAt = time.Time{}
	r.LeaseUntil = time.Time{}
	return r
}

// Arrival says that a package is in the archive.
type Arrival struct {
	At        time.Time
	Receipt   Receipt
	Strangers Strangers // found in the archive during the attempt
}

// Archive records that the package is in the archive. The record keeps its DueAt and stays due until
// it is announced. A ledger writes it only together with its seal.
func Archive(owner string, a Arrival) Change {
	return ofOwner(ChangeArchive, owner, func(r Record) (Record, error) {
		next := r.left(StateArchived)
		next.Lane = LaneDecided
		next.Receipt = a.Receipt
		next.Strangers = r.Strangers.Merge(a.Strangers)
		next.ManifestKey = Key(a.Receipt.Key).Manifest()
		next.ArchivedAt = instant(a.At)
		next.Message, next.Cause = "", ""
		return next, nil
	})
}

// Closing says why a fetcher gives up on a package.
type Closing struct {
	At      time.Time
	Reason  Reason
	Message string // free of links and tokens
	// Quarantine is the receipt of what was downloaded instead of a package; zero if nothing was kept.
	Quarantine Receipt
	Strangers  Strangers // found in the archive during the attempt
}

// Close records that there will be no package. The record keeps its DueAt and stays due until it is
// announced. A ledger writes it only together with its seal.
func Close(owner string, c Closing) Change {
	return ofOwner(ChangeClose, owner, func(r Record) (Record, error) {
		next := r.left(StateNotCollected)
		next.Lane = LaneDecided
		next.Reason = c.Reason
		next.Message, next.Cause = c.Message, ""
		next.Journal = r.Journal.Add(c.At, c.Message)
		next.Quarantine = c.Quarantine
		next.Strangers = r.Strangers.Merge(c.Strangers)
		return next, nil
	})
}

// Unchanged leaves the record as it is. Use it to seal a decided record without another change.
func Unchanged() Change {
	return ofKnown(ChangeSeal, func(r Record) (Record, error) { return r, nil })
}

// Conclusion says that an outcome was announced.
type Conclusion struct {
	At time.Time
	// ManifestKey is the key of the outcome's manifest; empty if it is in its first place.
	ManifestKey string
	Strangers   Strangers // found in the archive while it was stored
}

// Announce records that the archive has the manifests and the bus took the outcome. It leaves a record
// that is done unchanged, and fails with [ErrIllegalChange] if the record is not decided or not sealed.
func Announce(c Conclusion) Change {
	return ofKnown(ChangeAnnounce, func(r Record) (Record, error) {
		if r.State == StateDone {
			return r, nil
		}
		if !r.State.CanBecome(StateDone) || !r.IsSealed() {
			return Record{}, fmt.Errorf("%w: announce in state %q, sealed %t", ErrIllegalChange, r.State, r.IsSealed())
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
