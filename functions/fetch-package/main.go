// Command fetch-package is the Lambda function that carries one package from Defender into the
// evidence bucket, when a Ready event says that it can be fetched.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/functions/internal/metrics"
	"packhorse/functions/internal/wiring"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/settings"
)

// lease is how long the package of an environment that died lies idle. A live one renews it.
const lease = 2 * time.Minute

func main() {
	logger := lambdacontext.NewLogger()
	handler, meter, err := build(context.Background(), logger)
	if err != nil {
		// Every invocation says what is wrong: a process that ended would be started again and again.
		lambda.Start(func(context.Context) error { return err })
		return
	}
	lambda.Start(func(ctx context.Context, event events.EventBridgeEvent) (fetch.Answer, error) {
		answer, err := handler.Handle(ctx, event)
		meter.Fetch(answer)
		return answer, err
	})
}

func build(ctx context.Context, logger *slog.Logger) (
	*fetch.Handler, *metrics.Meter, error,
) {
	s, err := settings.ParseFetch(settings.Map(os.Environ()))
	if err != nil {
		return nil, nil, err
	}
	parts, err := wiring.Build(ctx, s, logger)
	if err != nil {
		return nil, nil, err
	}
	bucket := s3.NewFromConfig(parts.AWS, func(o *s3.Options) {
		o.UsePathStyle = os.Getenv("AWS_ENDPOINT_URL_S3") != "" // another S3, which knows no other
	})
	store := archive.New(bucket, s.ArchiveBucket, archive.PartSize, archive.PartsInFlight, logger)
	fetcher := fetch.New(parts.Defender, parts.Ledger, store, parts.Bus, custody.Manifest,
		s.ArchivePrefix, lease, time.Now, rand.Text, logger)
	return fetch.NewHandler(fetcher, s.TenantID, logger), parts.Meter, nil
}
