package pipeline

import (
	"context"
	"time"
)

// Step takes a single step of the loop in until-idle mode.
func (p *Pipeline) Step(ctx context.Context) (next time.Time, idle bool, err error) {
	return p.step(ctx, true)
}
