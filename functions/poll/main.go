// Command poll is the Lambda function that ticks once a minute: it lists the tenant's actions,
// writes what changed to the ledger, announces what came of them, and hands ready packages over as
// fast as the budget lets them go.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"packhorse/functions/internal/wiring"
	"packhorse/internal/poll"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

func main() {
	logger := lambdacontext.NewLogger()
	handler, parts, err := build(logger)
	if err != nil {
		// Every invocation says what is wrong: a process that ended would be started again and again.
		lambda.Start(func(context.Context) error { return err })
		return
	}
	lambda.Start(func(ctx context.Context, shard poll.Shard) (poll.Answer, error) {
		answer, err := handler.Handle(ctx, shard)
		parts.Meter.Poll(answer, parts.App.Standing().Expires)
		return answer, err
	})
}

func build(logger *slog.Logger) (*poll.Handler, wiring.Parts, error) {
	s, err := settings.ParsePoll(settings.Map(os.Environ()))
	if err != nil {
		return nil, wiring.Parts{}, err
	}
	parts, err := wiring.Build(s, logger)
	if err != nil {
		return nil, wiring.Parts{}, err
	}
	poller := poll.New(poll.Config{
		Defender:   parts.Defender,
		Ledger:     parts.Ledger,
		Health:     parts.Ledger,
		Bus:        parts.Bus,
		Budget:     parts.Defender.Gauge,
		TenantID:   s.TenantID,
		Cases:      s.CasePattern,
		Lookback:   s.Lookback,
		SweepEvery: s.SweepInterval,
		Heartbeat:  tenant.Heartbeat(1),
		Now:        time.Now,
		Logger:     logger,
	})
	fleet := poll.NewFleet(poll.FleetConfig{
		Members: func(context.Context) ([]poll.Member, error) {
			return []poll.Member{{ID: s.TenantID, Open: func() (*poll.Poller, error) { return poller, nil }}}, nil
		},
		Now: time.Now, Logger: logger,
	})
	return poll.NewHandler(fleet, time.Now, logger), parts, nil
}
