package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

const (
	// stepsFailedMax is how many steps may fail with no good sweep between before a pipeline that was
	// asked to end when idle gives up instead: with nobody watching, waiting for good would look
	// like working. A step in which nothing was due proves nothing, so it is not counted.
	stepsFailedMax = 10

	// failurePause keeps a failing step from being repeated at once.
	failurePause = 5 * time.Second

	// startPauseMax bounds the pause between two tries at the start, which begins at failurePause and
	// doubles.
	startPauseMax = time.Minute
)

// Patience is how a process that starts waits for what is not there yet: a service that is down now
// is ridden out like one that goes down later.
type Patience struct {
	UntilIdle bool // nobody watches: give up after stepsFailedMax failures

	// Mendable reports whether an error is a setting or a credential that was refused: then waiting
	// does not help.
	Mendable func(error) bool

	Now    func() time.Time
	Logger *slog.Logger
}

// Await calls try until it succeeds, or ends with its error where that is mendable, or with the
// context's. Each failure is logged. The next try comes no earlier than a
// *[investigation.PostponedError] asks for. A budget that is spent is not a failure.
func (p Patience) Await(ctx context.Context, try func(context.Context) error) error {
	between := failurePause
	for failed := 0; ; {
		err := try(ctx)
		if err == nil || ctx.Err() != nil || p.Mendable(err) {
			return err
		}
		next := p.Now().Add(between)
		postponed, ok := errors.AsType[*investigation.PostponedError](err)
		if ok && postponed.RetryAt.After(next) {
			next = postponed.RetryAt
		}
		if !errors.Is(err, investigation.ErrBudgetSpent) {
			failed++
			between = min(2*between, startPauseMax)
		}
		if p.UntilIdle && failed == stepsFailedMax {
			return fmt.Errorf("%d tries to start did not succeed: %w", failed, err)
		}
		p.Logger.WarnContext(ctx, "the start has to wait, trying again",
			slog.Time("until", next.UTC().Truncate(time.Second)), slog.String("error", err.Error()))
		err = pause.For(ctx, next.Sub(p.Now()))
		if err != nil {
			return err
		}
	}
}

// wait returns after d, or when woken, or with the context's error.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
