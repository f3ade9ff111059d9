package poll

import (
	"errors"
	"fmt"

	"packhorse/internal/investigation"
)

// trouble collects the failures of single actions while the others are served.
type trouble struct {
	bad    errorList // invalid actions and records: trying again will not help
	failed errorList // failures that may succeed next time
}

// add notes an error of the ledger. By the ledger's contract, one that wraps investigation.ErrBadRecord
// is about nothing else.
func (t *trouble) add(err error) {
	switch {
	case err == nil:
	case errors.Is(err, investigation.ErrBadRecord), errors.Is(err, investigation.ErrBadAction):
		t.bad.add(err)
	default:
		t.failed.add(err)
	}
}

// merge adds the failures of other.
func (t *trouble) merge(other trouble) {
	t.bad.merge(other.bad)
	t.failed.merge(other.failed)
}

// onlyBad reports whether there are failures and all of them are invalid actions or records.
func (t *trouble) onlyBad() bool { return len(t.bad.named) > 0 && len(t.failed.named) == 0 }

func (t *trouble) err() error { return errors.Join(t.bad.join(), t.failed.join()) }

// namedMax is how many errors of one kind a step names. The error becomes one log line, and a ledger
// that cannot be reached fails for every action of a tenant.
const namedMax = 20

// errorList names the first errors and counts the others.
type errorList struct {
	named []error
	more  int
}

func (l *errorList) add(err error) {
	if len(l.named) == namedMax {
		l.more++
		return
	}
	l.named = append(l.named, err)
}

func (l *errorList) merge(other errorList) {
	for _, err := range other.named {
		l.add(err)
	}
	l.more += other.more
}

func (l *errorList) join() error {
	if l.more == 0 {
		return errors.Join(l.named...)
	}
	return errors.Join(errors.Join(l.named...), fmt.Errorf("and %d more", l.more))
}
