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

// Validate reports whether the transitions of this package could have made the record. A ledger MUST
// call it before writing a record and after reading one. It refuses to write an invalid record, leaves
// a stored one as it is, and goes on with the others. Errors wrap [ErrBadRecord].
//
// Validate accepts what earlier versions wrote: a decided record may lack a seal (there were no chains
// yet) and may be in a lane of packages (decided records had no lane yet). A release without a time
// leaves a record due at the zero time.
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
		{"lease end", r.LeaseUntil}, {"claim time", r.ClaimedAt}, {"due time", r.DueAt}, {"observation time", r.ObservedAt},
		{"archival time", r.ArchivedAt}, {"announcement time", r.AnnouncedAt},
		{"retention end", r.Receipt.Retention.Until},
		{"quarantine retention end", r.Quarantine.Retention.Until},
	} {
		if !canBeWritten(t.at) {
			return fmt.Errorf("%s %s is out of range", t.name, t.at.UTC().Format(time.RFC3339))
		}
	}
	switch {
	case r.ObservedAt.IsZero():
		return errors.New("observation time is missing")
	case r.ArchivedAt.IsZero() != (r.Receipt == Receipt{}):
		return fmt.Errorf("archived at %v with receipt %q", r.ArchivedAt, r.Receipt.Key)
	case r.AnnouncedAt.IsZero() != (r.State != StateDone):
		return fmt.Errorf("state %s but announced at %v", r.State, r.AnnouncedAt)
	}
	return nil
}

// canBeWritten reports whether every ledger can write the instant and read it back: RFC 3339 has years
// of four digits. The zero time is fine.
func canBeWritten(t time.Time) bool {
	year := t.UTC().Year()
	return year >= 1 && year <= yearMax
}

func checkState(r Record) error {
	isFetching := r.State == StateFetching
	switch {
	case r.State == StateUnknown || !slices.Contains(States(), r.State):
		return fmt.Errorf("unknown state %.40q", r.State)
	case isFetching != (r.Owner != ""), isFetching != !r.LeaseUntil.IsZero():
		return fmt.Errorf("state %s but owner %.80q until %v", r.State, r.Owner, r.LeaseUntil)
	case r.Attempts < 0 || r.ExpiredLinks < 0:
		return fmt.Errorf("counts are negative: %d attempts, %d expired links", r.Attempts, r.ExpiredLinks)
	case isFetching && r.Attempts == 0:
		return errors.New("state fetching but no attempt counted")
	case len(r.Claims.list()) > claimsMax:
		return fmt.Errorf("%d claims, want at most %d", len(r.Claims.list()), claimsMax)
	case !r.Strangers.Valid():
		return fmt.Errorf("malformed strangers %.40q", r.Strangers)
	}
	return nil
}

func checkLane(r Record) error {
	isOpen := r.State != StateWaiting && r.State != StateDone
	switch {
	case r.Lane != "" && !slices.Contains(Lanes(), r.Lane):
		return fmt.Errorf("unknown lane %.40q", r.Lane)
	case isOpen != (r.Lane != ""), r.Lane == LaneDecided && !r.State.Decided():
		return fmt.Errorf("state %s but lane %q", r.State, r.Lane)
	case !isOpen && !r.DueAt.IsZero():
		return fmt.Errorf("state %s but due at %v", r.State, r.DueAt)
	}
	return nil
}

// checkOutcome checks that the outcome agrees with the state. An outcome is either a package or the
// reason why there is none.
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
		return fmt.Errorf("unknown reason %.40q", r.Reason)
	case !fits:
		return fmt.Errorf("state %s but receipt %q and reason %q", r.State, r.Receipt.Key,
			r.Reason)
	case r.Quarantine != (Receipt{}) && !isReason:
		return errors.New("quarantine receipt without a reason")
	}
	return nil
}

func checkReceipts(r Record) error {
	for name, receipt := range map[string]Receipt{"receipt": r.Receipt, "quarantine receipt": r.Quarantine} {
		switch {
		case receipt.Size < 0 || receipt.PartSize < 0:
			return fmt.Errorf("%s has a negative size: %d bytes in parts of %d", name, receipt.Size, receipt.PartSize)
		case receipt != (Receipt{}) && receipt.Key == "":
			return fmt.Errorf("%s without a key", name)
		}
	}
	return nil
}

// checkSeals checks that the seals could be from a chain. A decided record may lack one: it is waiting
// for it, or was written before there were chains.
func checkSeals(r Record) error {
	for name, seal := range map[string]Seal{"seal": r.Seal, "quarantine seal": r.QuarantineSeal} {
		err := seal.validate()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	isSealed, quarantine := r.IsSealed(), r.QuarantineSeal.Sequence
	switch {
	case isSealed && !r.State.Decided():
		return fmt.Errorf("state %s but sealed", r.State)
	case isSealed && r.ManifestKey == "":
		return errors.New("sealed without a manifest key")
	case isSealed && r.State != StateDone && r.Seal.Manifest == "":
		return fmt.Errorf("state %s and sealed but the manifest is missing", r.State)
	case quarantine > 0 && (quarantine+1 != r.Seal.Sequence || r.Quarantine.Key == ""):
		return fmt.Errorf("seals out of sequence: quarantine number %d, outcome number %d",
			quarantine, r.Seal.Sequence)
	case isSealed && quarantine == 0 && r.Quarantine != (Receipt{}):
		return errors.New("sealed but the quarantine is not")
	case quarantine > 0 && (r.QuarantineSeal.Manifest == "") != (r.Seal.Manifest == ""):
		return errors.New("one of the two manifests is missing")
	}
	return nil
}

// validate accepts the zero Seal.
func (s Seal) validate() error {
	if s == (Seal{}) {
		return nil
	}
	err := Head{Sequence: s.Sequence, Digest: s.Digest}.check()
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(s.Manifest))
	if s.Manifest != "" && s.Digest != hex.EncodeToString(sum[:]) {
		return errors.New("the digest is that of another manifest")
	}
	return nil
}

// digestForm matches a SHA-256 in lower-case hexadecimal.
var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Validate reports whether h can be the end of a chain that is not empty. Like [Record.Validate] it is
// for ledgers, and its errors wrap [ErrBadRecord].
func (h Head) Validate() error {
	err := h.check()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	return nil
}

func (h Head) check() error {
	if h.Sequence < 1 || !digestForm.MatchString(h.Digest) {
		return fmt.Errorf("number %d with digest %.80q", h.Sequence, h.Digest)
	}
	return nil
}
