package poll

import (
	"context"
	"log/slog"
	"time"
)

const (
	// tickMax is how long a tick goes on while there is something worth waiting for: until the next
	// one starts, and a little longer, to use a slot that frees between the two.
	tickMax = 62 * time.Second

	// tickReserve is the part of the function's time reserved for finishing the step under way.
	tickReserve = 10 * time.Second
)

// Handler turns a scheduled invocation into a tick.
type Handler struct {
	fleet  *Fleet
	now    func() time.Time
	logger *slog.Logger
}

// NewHandler returns a Handler. The fleet's memory lives as long as the Handler.
func NewHandler(fleet *Fleet, now func() time.Time, logger *slog.Logger) *Handler {
	return &Handler{fleet: fleet, now: now, logger: logger}
}

// Handle runs one tick of the shard within the deadline of ctx. It returns an error only for the platform to count, if there are tenants and each of them had a
// failure: one customer's expired credential is no failure of the function. Failed work is due again.
func (h *Handler) Handle(ctx context.Context, shard Shard) (Answer, error) {
	until := h.now().Add(tickMax)
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-tickReserve).Before(until) {
		until = deadline.Add(-tickReserve)
	}
	answer, err := h.fleet.Tick(ctx, until, shard)
	h.logger.InfoContext(ctx, "the tick has ended", slog.Int("tenants", answer.Tenants), slog.String("shard", shard.String()),
		slog.Int("failing", answer.Failing), slog.Int("sweeps", answer.Sweeps),
		slog.Int("completed", answer.Completed), slog.Int("handedOver", answer.HandedOver), slog.Int("due", answer.Due))
	if err != nil {
		h.logger.ErrorContext(ctx, "the tick had failures; the failed work is due again",
			slog.String("error", err.Error()))
	}
	if answer.Failing < answer.Tenants {
		err = nil
	}
	return answer, err
}
