// Command poll is the Lambda function that ticks once a minute: for each tenant it lists the actions, writes what
// changed to the ledger, announces what came of them, and hands ready packages over as fast as the budget lets
// them go.
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
)

func main() {
	tick, err := build(lambdacontext.NewLogger())
	if err != nil {
		// Every invocation says what is wrong: a process that ended would be started again and again.
		lambda.Start(func(context.Context) error { return err })
		return
	}
	lambda.Start(tick)
}

func build(logger *slog.Logger) (func(context.Context, poll.Shard) (poll.Answer, error), error) {
	environ := settings.Map(os.Environ())
	s, err := settings.ParsePoll(environ)
	if err != nil {
		return nil, err
	}
	parts, err := wiring.Build(s, settings.PollBase(environ), logger)
	if err != nil {
		return nil, err
	}
	served := newTenants(parts, logger)
	handler := poll.NewHandler(poll.NewFleet(poll.FleetConfig{
		Members: served.members, Now: time.Now, Logger: logger,
	}), time.Now, logger)
	return func(ctx context.Context, shard poll.Shard) (poll.Answer, error) {
		answer, err := handler.Handle(ctx, shard)
		parts.Meter.Poll(answer, served.expires())
		return answer, err
	}, nil
}
