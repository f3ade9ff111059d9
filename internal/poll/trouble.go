package poll

import (
	"errors"
	"fmt"

	"packhorse/internal/investigation"
)

// trouble is what went wrong with some of the actions while the others were served.
type trouble struct {
	bad    errorList // actions and records that make no sense: they will not get better by themselves
	failed errorList // what may succeed next time
}

// add takes an error of the ledger's. By contract one that wraps investigation.ErrBadRecord tells of
// nothing else.
func (t *trouble) add(err error) {
	switch {
	case err == nil:
	case errors.Is(err, investigation.ErrBadRecord), errors.Is(err, investigation.ErrBadAction):
		t.bad.add(err)
	default:
		t.failed.add(err)
	}
}

// onlyBad reports whether something makes no sense, and nothing else went wrong.
func (t *trouble) onlyBad() bool { return len(t.bad.named) > 0 && len(t.failed.named) == 0 }

func (t *trouble) err() error { return errors.Join(t.bad.join(), t.failed.join()) }

// namedMax is how many errors of one kind a step names: its error is a line of a log, and a ledger
// that is out of reach fails for every action of a tenant.
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

func (l *errorList) join() error {
	if l.more == 0 {
		return errors.Join(l.named...)
	}
	return errors.Join(errors.Join(l.named...), fmt.Errorf("and %d more", l.more))
}
