package investigation

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Validate reports whether the transitions of this package can have made the record. A ledger MUST
// call it before it writes a record and after it reads one: a record that fails is refused, or left
// as it is, and the others go on. Errors wrap [ErrBadRecord].
//
// It accepts what earlier versions wrote: a settled record may be without a seal (there were no
// chains yet) and in a lane of packages (there was none for what is settled). A release that names
// no time leaves a record that is due at the zero time.
func (r Record) Validate() error {
	for _, check := range []func(Record) error{
		checkAction, checkTimes, checkState, checkLane, checkOutcome, checkReceipts, checkSeals,
	} {
		err := check(r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadRecord, err)
		}
	}
	return nil
}

func checkAction(r Record) error { return r.Action.Validate() }

func checkTimes(r Record) error {
	for _, t := range []struct {
		name string
		at   time.Time
	}{
		{"end of its lease", r.LeaseUntil}, {"due time", r.DueAt}, {"first sight", r.ObservedAt},
		{"time of archiving", r.ArchivedAt}, {"time of announcement", r.AnnouncedAt},
		{"end of its retention", r.Receipt.Retention.Until},
		{"end of its quarantine's retention", r.Quarantine.Retention.Until},
	} {
		if !canBeWritten(t.at) {
			return fmt.Errorf("%s %s is out of range", t.name, t.at.UTC().Format(time.RFC3339))
		}
	}
	switch {
	case r.ObservedAt.IsZero():
		return errors.New("its first sight is missing")
	case r.ArchivedAt.IsZero() != (r.Receipt == Receipt{}):
		return fmt.Errorf("it was archived at %v, with the receipt of %q", r.ArchivedAt, r.Receipt.Key)
	case r.AnnouncedAt.IsZero() != (r.State != StateDone):
		return fmt.Errorf("it is %s, announced at %v", r.State, r.AnnouncedAt)
	}
	return nil
}

// canBeWritten reports whether every ledger can write the instant down and read it again: RFC 3339
// has years of four digits. The zero time is an instant like any other.
func canBeWritten(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= yearMax
}

func checkState(r Record) error {
	isFetching := r.State == StateFetching
	switch {
	case r.State == StateUnknown || !slices.Contains(States(), r.State):
		return fmt.Errorf("its state is %.40q", r.State)
	case isFetching != (r.Owner != ""), isFetching != !r.LeaseUntil.IsZero():
		return fmt.Errorf("it is %s, with owner %.80q until %v", r.State, r.Owner, r.LeaseUntil)
	case r.Attempts < 0 || r.ExpiredLinks < 0:
		return fmt.Errorf("it counts %d attempts and %d expired links", r.Attempts, r.ExpiredLinks)
	case isFetching && r.Attempts == 0:
		return errors.New("it is fetching, and no attempt was counted")
	case len(r.Claims.list()) > claimsMax:
		return fmt.Errorf("it has %d claims, and %d are kept", len(r.Claims.list()), claimsMax)
	case !r.Strangers.Valid():
		return fmt.Errorf("its strangers are %.40q", r.Strangers)
	}
	return nil
}

func checkLane(r Record) error {
	isOpen := r.State != StateWaiting && r.State != StateDone
	switch {
	case r.Lane != "" && !slices.Contains(Lanes(), r.Lane):
		return fmt.Errorf("its lane is %.40q", r.Lane)
	case isOpen != (r.Lane != ""), r.Lane == LaneSettled && !r.State.Settled():
		return fmt.Errorf("it is %s, and its lane is %q", r.State, r.Lane)
	case !isOpen && !r.DueAt.IsZero():
		return fmt.Errorf("it is %s, and due at %v", r.State, r.DueAt)
	}
	return nil
}

// checkOutcome finds an outcome that does not agree with the state: a package, or a reason why there
// is none.
func checkOutcome(r Record) error {
	isArchived, isReason := r.Receipt.Key != "", r.Reason != ""
	fits := !isArchived && !isReason
	switch r.State {
	case StateArchived:
		fits = isArchived && !isReason
	case StateNotCollected:
		fits = !isArchived && isReason
	case StateDone:
		fits = isArchived != isReason
	}
	switch {
	case isReason && !slices.Contains(Reasons(), r.Reason):
		return fmt.Errorf("its reason is %.40q", r.Reason)
	case !fits:
		return fmt.Errorf("it is %s, with the receipt of %q and the reason %q", r.State, r.Receipt.Key,
			r.Reason)
	case r.Quarantine != (Receipt{}) && !isReason:
		return errors.New("it has something in quarantine, for no reason")
	}
	return nil
}

func checkReceipts(r Record) error {
	for name, receipt := range map[string]Receipt{"receipt": r.Receipt, "quarantine's receipt": r.Quarantine} {
		switch {
		case receipt.Size < 0 || receipt.PartSize < 0:
			return fmt.Errorf("its %s has %d bytes in parts of %d", name, receipt.Size, receipt.PartSize)
		case receipt != (Receipt{}) && receipt.Key == "":
			return fmt.Errorf("its %s names no key", name)
		}
	}
	return nil
}

// checkSeals finds seals that no chain can have given. A settled record without one is no fault: it
// waits for it, or is of a time before there were chains.
func checkSeals(r Record) error {
	for name, seal := range map[string]Seal{"seal": r.Seal, "quarantine's seal": r.QuarantineSeal} {
		err := seal.validate()
		if err != nil {
			return fmt.Errorf("its %s: %w", name, err)
		}
	}
	isSealed, quarantine := r.IsSealed(), r.QuarantineSeal.Sequence
	switch {
	case isSealed && !r.State.Settled():
		return fmt.Errorf("it is %s, and sealed", r.State)
	case isSealed && r.ManifestKey == "":
		return errors.New("it is sealed, and its manifest has no key")
	case isSealed && r.State != StateDone && r.Seal.Manifest == "":
		return fmt.Errorf("it is %s and sealed, and its manifest is missing", r.State)
	case quarantine > 0 && (quarantine+1 != r.Seal.Sequence || r.Quarantine.Key == ""):
		return fmt.Errorf("what it has in quarantine is number %d of the chain, and it is %d",
			quarantine, r.Seal.Sequence)
	case isSealed && quarantine == 0 && r.Quarantine != (Receipt{}):
		return errors.New("it is sealed, and what it has in quarantine is not")
	case quarantine > 0 && (r.QuarantineSeal.Manifest == "") != (r.Seal.Manifest == ""):
		return errors.New("one of its two manifests is missing")
	}
	return nil
}

// validate accepts the zero Seal.
func (s Seal) validate() error {
	if s == (Seal{}) {
		return nil
	}
	err := Head{Sequence: s.Sequence, Digest: s.Digest}.Validate()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(s.Manifest))
	if s.Manifest != "" && s.Digest != hex.EncodeToString(sum[:]) {
		return errors.New("its digest is another manifest's")
	}
	return nil
}

// digestForm is a SHA-256 in lower-case hexadecimal.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate reports whether a chain that has begun can end there. Like [Record.Validate] it is for a
// ledger, and errors wrap [ErrBadRecord].
func (h Head) Validate() error {
	if h.Sequence < 1 || !digestForm.MatchString(h.Digest) {
		return fmt.Errorf("%w: number %d with the digest %.80q", ErrBadRecord, h.Sequence, h.Digest)
	}
	return nil
}
