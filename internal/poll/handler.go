package poll

import (
	"context"
	"log/slog"
	"time"
)

const (
	// tickMax is how long a tick goes on while there is something worth waiting for: until the next
	// one comes, and a little longer, so that no slot that frees between the two is left unused.
	tickMax = 62 * time.Second

	// tickReserve is left of the function's time for what is under way when the tick ends.
	tickReserve = 10 * time.Second
)

// Handler translates a scheduled invocation to a tick.
type Handler struct {
	poller *Poller
	now    func() time.Time
	logger *slog.Logger
}

// NewHandler returns a Handler. The poller's memory lives as long as the Handler.
func NewHandler(poller *Poller, now func() time.Time, logger *slog.Logger) *Handler {
	return &Handler{poller: poller, now: now, logger: logger}
}

// Handle is one tick, within the deadline of ctx. What the schedule sends is not looked at: ticks
// are alike. An error is for the platform to count; what did not succeed is due again.
func (h *Handler) Handle(ctx context.Context) (Answer, error) {
	until := h.now().Add(tickMax)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-tickReserve).Before(until) {
		until = deadline.Add(-tickReserve)
	}
	answer, err := h.poller.Tick(ctx, until)
	h.logger.InfoContext(ctx, "the tick is over", slog.Int("sweeps", answer.Sweeps),
		slog.Int("handedOver", answer.HandedOver), slog.Int("due", answer.Due))
	if err != nil {
		h.logger.ErrorContext(ctx, "something did not succeed and is due again",
			slog.String("error", err.Error()))
	}
	return answer, err
}
