package pipeline

import "context"

const (
	// stepsMax is how many tenants take a step at the same time. Most of a step is waiting for Defender.
	stepsMax = 50

	// strugglingMax is how many of those may be tenants whose last step failed, so that tenants whose connections
	// hang leave room for the others.
	strugglingMax = 5

	// FetchesMax is how many packages all tenants together fetch at the same time. One tenant fetches at most four of
	// them: whatever its downloads do, there is room for others.
	FetchesMax = 32
)

// Share is what the pipelines of one process share: room for their steps and fetches.
type Share struct{ steps, struggling, fetches chan struct{} }

// NewShare returns a Share that nobody uses yet.
func NewShare() *Share {
	return &Share{
		steps: make(chan struct{}, stepsMax), struggling: make(chan struct{}, strugglingMax),
		fetches: make(chan struct{}, FetchesMax),
	}
}

// step calls f when there is room for a step. It returns an error without calling f if the context ends first.
func (s *Share) step(ctx context.Context, struggles bool, f func()) error {
	if struggles {
		leave, err := enter(ctx, s.struggling)
		if err != nil {
			return err
		}
		defer leave()
	}
	leave, err := enter(ctx, s.steps)
	if err != nil {
		return err
	}
	defer leave()
	f()
	return nil
}

// enter waits for room. The returned function gives it back.
func enter(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
