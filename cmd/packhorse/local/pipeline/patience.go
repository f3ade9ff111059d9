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
	// stepsFailedMax is the number of failed steps, without a successful sweep between them, after which a
	// pipeline in until-idle mode gives up: nobody watches it, and waiting forever would look like working.
	// Steps in which nothing was due prove nothing, so they neither count nor reset the count.
	stepsFailedMax = 10

	// failurePause is the delay before a failed step is repeated.
	failurePause = 5 * time.Second

	// startPauseMax bounds the pause between attempts to start, which begins at failurePause and doubles.
	startPauseMax = time.Minute
)

// Patience retries at startup: a service that is down when the process starts is waited for, just like one
// that goes down later.
type Patience struct {
	UntilIdle bool // give up after stepsFailedMax failures, because nobody watches

	// Mendable reports whether an error is a wrong setting or a rejected credential: waiting does not help
	// then.
	Mendable func(error) bool

	Now    func() time.Time
	Logger *slog.Logger
	Level  slog.Level // of failures, in the log
}

// Await calls try until it succeeds. It returns early if the error is mendable or the context ends. It logs
// each failed attempt and waits at least as long as a *[investigation.PostponedError] asks for. A spent
// budget does not count as a failure.
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
			return fmt.Errorf("could not start after %d attempts: %w", failed, err)
		}
		p.Logger.Log(ctx, p.Level, "cannot start yet, trying again",
			slog.Time("until", next.UTC().Truncate(time.Second)), slog.String("error", err.Error()))
		err = pause.For(ctx, next.Sub(p.Now()))
		if err != nil {
			return err
		}
	}
}

// wait returns after d or when woken, or with the context's error if that ends first.
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
