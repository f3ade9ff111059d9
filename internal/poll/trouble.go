package poll

import (
	"errors"
	"fmt"

	"packhorse/internal/investigation"
)

// trouble is what went wrong with some of the actions while the others were served.
type trouble struct {
	bad    []error // actions and records that make no sense: they will not get better by themselves
	failed []error // what may succeed next time
}

// add takes an error of the ledger's. By contract one that wraps investigation.ErrBadRecord tells of
// nothing else.
func (t *trouble) add(err error) {
	switch {
	case err == nil:
	case errors.Is(err, investigation.ErrBadRecord), errors.Is(err, investigation.ErrBadAction):
		t.bad = append(t.bad, err)
	default:
		t.failed = append(t.failed, err)
	}
}

// err names the first of each kind and counts the others: a ledger that is out of reach fails for
// every action of a tenant, and its error is a line of a log.
func (t *trouble) err() error { return errors.Join(bounded(t.bad), bounded(t.failed)) }

// namedMax is how many errors of one kind a sweep names.
const namedMax = 20

func bounded(errs []error) error {
	if len(errs) <= namedMax {
		return errors.Join(errs...)
	}
	return errors.Join(append(errs[:namedMax:namedMax], fmt.Errorf("and %d more", len(errs)-namedMax))...)
}
