package memory

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// CheckChange reports every ledger rule that a change of one record breaks. It states the rules
// independently of the code of the transitions: in each state a record has exactly the fields that belong
// there, and a final field never changes.
func CheckChange(before, after investigation.Record) error {
	return errors.Join(checkState(before, after), checkKept(before, after), checkFields(after),
		checkSeals(after))
}

// checkState allows legal changes of state, and changes within a state that permits them.
func checkState(before, after investigation.Record) error {
	stays := before.State == after.State
	moves := before.State == investigation.StateWaiting || before.State == investigation.StateFetching ||
		(before.State == investigation.StateNotCollected && !before.IsSealed())
	if stays && !moves && before != after {
		return fmt.Errorf("record changed in state %q", before.State)
	}
	if !stays && !before.State.CanBecome(after.State) {
		return fmt.Errorf("%q became %q", before.State, after.State)
	}
	return nil
}

// checkKept finds final fields that changed.
func checkKept(before, after investigation.Record) error {
	var faults []error
	kept := func(name string, ok bool) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s changed", name))
		}
	}
	if before.State == investigation.StateUnknown {
		return nil
	}
	kept("id", before.ID == after.ID)
	kept("first sight", before.ObservedAt.Equal(after.ObservedAt))
	kept("count of expired links", before.ExpiredLinks <= after.ExpiredLinks)
	if step := after.Attempts - before.Attempts; step < -1 || step > 1 {
		faults = append(faults, fmt.Errorf("%d attempts were counted at once", step))
	}
	if before.State != investigation.StateWaiting {
		kept("action", before.Action == after.Action)
		kept("lane", before.Lane == after.Lane || after.State.Decided())
	}
	if before.State.Decided() {
		kept("receipt", before.Receipt == after.Receipt && before.Quarantine == after.Quarantine &&
			before.ArchivedAt.Equal(after.ArchivedAt))
		kept("reason", before.Reason == after.Reason && before.Message == after.Message &&
			before.Journal == after.Journal)
		kept("due time", before.DueAt.Equal(after.DueAt) || after.State == investigation.StateDone)
	}
	if before.IsSealed() {
		kept("seal", sameSeal(before.Seal, after.Seal) && sameSeal(before.QuarantineSeal, after.QuarantineSeal))
		// Announcing may change it, because a stranger may occupy the first place.
		kept("manifest key", before.ManifestKey == after.ManifestKey || after.State == investigation.StateDone)
	}
	return errors.Join(faults...)
}

func sameSeal(a, b investigation.Seal) bool {
	return a.Sequence == b.Sequence && a.Digest == b.Digest && a.Bucket == b.Bucket
}

// checkFields finds fields that are set, or missing, where they should not be.
func checkFields(r investigation.Record) error {
	var faults []error
	iff := func(name string, set, want bool) {
		if set != want {
			faults = append(faults, fmt.Errorf("state %q: %s set: %t, want %t",
				r.State, name, set, want))
		}
	}
	is := func(states ...investigation.State) bool {
		for _, s := range states {
			if r.State == s {
				return true
			}
		}
		return false
	}
	const (
		ready, fetching        = investigation.StateReady, investigation.StateFetching
		archived, notCollected = investigation.StateArchived, investigation.StateNotCollected
		done                   = investigation.StateDone
	)
	collected := is(archived) || (is(done) && r.Reason == "")
	iff("state", !is(investigation.StateUnknown), true)
	iff("first sight", !r.ObservedAt.IsZero(), true)
	iff("owner", r.Owner != "", is(fetching))
	iff("claim time", !r.ClaimedAt.IsZero(), is(fetching))
	iff("cause", r.Cause != "", r.Cause != "" && is(ready, fetching))
	iff("lease", !r.LeaseUntil.IsZero(), is(fetching))
	iff("lane of packages", r.Lane == investigation.LaneLive || r.Lane == investigation.LaneBacklog, is(ready, fetching))
	iff("lane of decided actions", r.Lane == investigation.LaneDecided, is(archived, notCollected))
	iff("due time", !r.DueAt.IsZero(), is(ready, fetching, archived, notCollected) && !backAtOnce(r))
	iff("receipt", r.Receipt != (investigation.Receipt{}), collected)
	iff("manifest key", r.ManifestKey != "", collected || r.IsSealed())
	iff("seal", r.IsSealed(), collected || is(done) || (is(notCollected) && r.IsSealed()))
	iff("manifest", r.Seal.Manifest != "", r.IsSealed() && !is(done))
	iff("quarantine", r.Quarantine != (investigation.Receipt{}),
		r.QuarantineSeal.Sequence > 0 || (r.Quarantine != (investigation.Receipt{}) && !r.IsSealed()))
	iff("quarantine manifest", r.QuarantineSeal.Manifest != "",
		r.QuarantineSeal.Sequence > 0 && !is(done))
	iff("archival time", !r.ArchivedAt.IsZero(), collected)
	iff("reason", r.Reason != "", !collected && is(notCollected, done))
	iff("announcement time", !r.AnnouncedAt.IsZero(), is(done))
	if r.Quarantine != (investigation.Receipt{}) && r.Reason == "" {
		faults = append(faults, errors.New("quarantine receipt but no reason"))
	}
	if r.Attempts < 0 || r.ExpiredLinks < 0 {
		faults = append(faults, fmt.Errorf("%d attempts and %d expired links",
			r.Attempts, r.ExpiredLinks))
	}
	if is(fetching) && (r.Attempts < 1 || !r.DueAt.Equal(r.LeaseUntil)) {
		faults = append(faults, fmt.Errorf("fetching in attempt %d, due at %v, leased until %v",
			r.Attempts, r.DueAt, r.LeaseUntil))
	}
	for name, instant := range map[string]time.Time{"due time": r.DueAt, "lease": r.LeaseUntil, "claim time": r.ClaimedAt} {
		if !instant.Equal(instant.Truncate(time.Millisecond)) {
			faults = append(faults, fmt.Errorf("%s is finer than a millisecond", name))
		}
	}
	return errors.Join(faults...)
}

// backAtOnce reports whether the record was released without a due time, which makes it due at once.
func backAtOnce(r investigation.Record) bool {
	return r.State == investigation.StateReady && r.DueAt.IsZero()
}

// checkSeals finds seals that no chain can contain. The two manifests of one action follow each other, and
// a digest matches its manifest as long as the record has the manifest.
func checkSeals(r investigation.Record) error {
	var faults []error
	for name, seal := range map[string]investigation.Seal{
		"seal": r.Seal, "quarantine seal": r.QuarantineSeal,
	} {
		sum := sha256.Sum256([]byte(seal.Manifest))
		if seal.Manifest != "" && seal.Digest != hex.EncodeToString(sum[:]) {
			faults = append(faults, fmt.Errorf("%s has another manifest's digest", name))
		}
		if seal.Sequence < 0 || (seal.Sequence > 0) != (seal.Digest != "") {
			faults = append(faults, fmt.Errorf("%s has number %d with digest %q",
				name, seal.Sequence, seal.Digest))
		}
	}
	if q := r.QuarantineSeal; q.Sequence > 0 && q.Sequence+1 != r.Seal.Sequence {
		faults = append(faults, fmt.Errorf("seals have numbers %d and %d", q.Sequence, r.Seal.Sequence))
	}
	return errors.Join(faults...)
}
