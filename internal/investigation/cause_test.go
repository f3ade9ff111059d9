package investigation_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"packhorse/internal/investigation"
)

// Because keeps an error's text and chain, and adds a cause that survives further wrapping.
func TestCauseOf(t *testing.T) {
	plain := errors.New("403")
	forbidden := investigation.Because(investigation.CauseForbidden, plain)
	if forbidden.Error() != "403" || !errors.Is(forbidden, plain) {
		t.Errorf("got %q", forbidden)
	}
	for _, test := range []struct {
		err  error
		want investigation.Cause
	}{
		{fmt.Errorf("ask: %w", &investigation.PostponedError{Err: forbidden}), investigation.CauseForbidden},
		{errors.Join(plain, forbidden), investigation.CauseForbidden},
		{investigation.Because(investigation.CauseArchive, context.Canceled), investigation.CauseStopped},
		{&investigation.PostponedError{Err: investigation.ErrBudgetSpent}, investigation.CauseBudget},
		{fmt.Errorf("read: %w", context.Canceled), investigation.CauseStopped},
		{fmt.Errorf("open: %w", investigation.ErrLinkExpired), investigation.CauseDownload},
		{fmt.Errorf("check: %w", investigation.ErrNotAPackage), investigation.CauseDownload},
		{plain, investigation.CauseOther},
	} {
		if got := investigation.CauseOf(test.err); got != test.want {
			t.Errorf("%v: got %q, want %q", test.err, got, test.want)
		}
	}
}

// Unknown causes block; causes that pass on their own do not.
func TestCausesThatBlock(t *testing.T) {
	passing := map[investigation.Cause]bool{
		investigation.CauseBudget: true, investigation.CauseThrottled: true,
		investigation.CauseStopped: true, investigation.CauseDownload: true,
	}
	for _, cause := range append(investigation.Causes(), "a new one") {
		if cause.Blocks() == passing[cause] {
			t.Errorf("%s: blocks is %t", cause, cause.Blocks())
		}
	}
	if investigation.Cause("").Blocks() {
		t.Error("the empty cause blocks")
	}
}
