package local

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/entra"
	"packhorse/internal/roster"
)

// hand does the work for one tenant.
type hand struct {
	crew    *crew
	member  roster.Member
	tenants int  // that were served when it began
	quiet   bool // the crew says what fails, not the pipeline
	named   bool // the log has named the tenant as failing; the crew's loop has this
	logger  *slog.Logger
	done    chan struct{} // closed when the work has ended

	mu      sync.Mutex // guards the fields below
	line    line       // nil before it was opened
	left    bool       // it shall end
	trouble error      // why the work fails now
	over    bool
	failure error // that ended it
	overAt  time.Time
}

func newHand(c *crew, m roster.Member, tenants int, quiet bool) *hand {
	h := &hand{crew: c, member: m, tenants: tenants, quiet: quiet, logger: c.logger, done: make(chan struct{})}
	if quiet {
		h.logger = c.logger.With(slog.String("tenant", cmp.Or(m.Name, m.Settings.TenantID)))
	}
	return h
}

// work serves the tenant until the context ends, the tenant is left or, until idle, nothing is left to do.
func (h *hand) work(ctx context.Context) {
	defer close(h.done)
	err := h.serve(ctx)
	h.mu.Lock()
	h.over, h.failure, h.overAt = true, err, h.crew.now()
	if err != nil {
		h.trouble = err
	}
	h.mu.Unlock()
	h.poke()
}

func (h *hand) serve(ctx context.Context) error {
	opened, err := h.crew.open(ctx, h)
	switch {
	case ctx.Err() != nil:
		return pipeline.Interrupted(h.crew.untilIdle)
	case err != nil:
		h.crew.unopened(ctx, h.member.Settings.TenantID, err)
		return err
	}
	h.mu.Lock()
	h.line = opened
	if h.left {
		opened.Leave()
	}
	h.mu.Unlock()
	return opened.Run(ctx, h.crew.untilIdle)
}

// leave makes the work end, without waiting for that.
func (h *hand) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = true
	if h.line != nil {
		h.line.Leave()
	}
}

// failing notes why the work fails, or that it succeeds.
func (h *hand) failing(err error) {
	h.mu.Lock()
	changed := (err == nil) != (h.trouble == nil)
	h.trouble = err
	h.mu.Unlock()
	if changed {
		h.poke()
	}
}

// poke wakes the crew's loop.
func (h *hand) poke() {
	select {
	case h.crew.changed <- struct{}{}:
	default: // it has yet to wake for an earlier change
	}
}

func (h *hand) troubled() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble
}

func (h *hand) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over
}

// err returns the error that ended the work.
func (h *hand) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure
}

// failedBefore reports whether an error ended the work before that time.
func (h *hand) failedBefore(at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.over && h.failure != nil && !h.overAt.After(at)
}

// standing returns the proof that Entra ID accepted last.
func (h *hand) standing() entra.Standing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.line == nil {
		return entra.Standing{}
	}
	return h.line.Standing()
}
