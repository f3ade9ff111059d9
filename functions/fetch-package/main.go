// Command fetch-package is the Lambda function that carries one package from Defender into the
// evidence bucket, when a Ready event says that it can be fetched.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/functions/internal/wiring"
	"packhorse/internal/archive"
	"packhorse/internal/custody"
	"packhorse/internal/fetch"
	"packhorse/internal/settings"
)

// What this binary was built of: a tag or its like, and a commit. The Makefile sets both; a manifest
// says them.
var version, commit = "unknown", "unknown"

// lease is how long the package of an environment that died lies idle. A live one renews it.
const lease = 2 * time.Minute

func main() {
	logger := lambdacontext.NewLogger()
	invocation, err := build(os.Environ(), logger)
	if err != nil {
		// Every invocation says what is wrong: a process that ended would be started again and again.
		lambda.Start(func(context.Context) error { return err })
		return
	}
	lambda.Start(invocation)
}

func build(environ []string, logger *slog.Logger) (fetch.Handle, error) {
	environment := settings.Map(environ)
	s, err := settings.ParseFetch(environment)
	if err != nil {
		return nil, err
	}
	parts, err := wiring.Build(s, logger)
	if err != nil {
		return nil, err
	}
	bucket := s3.NewFromConfig(parts.AWS, func(o *s3.Options) {
		o.UsePathStyle = environment["AWS_ENDPOINT_URL_S3"] != "" // another S3, which knows no other
	})
	store := archive.New(bucket, s.ArchiveBucket, s.Lock(), archive.PartSize, archive.PartsInFlight,
		time.Now, logger)
	writer := custody.NewWriter(custody.NewKMS(kms.NewFromConfig(parts.AWS), s.SigningKeyID),
		s.ArchiveBucket, s.Lock(), provenanceOf(parts.AWS), time.Now)
	fetcher := fetch.New(fetch.Config{
		Defender: parts.Defender,
		Ledger:   parts.Ledger,
		Archive:  store,
		Space:    fetch.Unlimited{},
		Bus:      parts.Bus,
		Custody:  writer,
		Prefix:   s.ArchivePrefix,
		Lease:    lease,
		Now:      time.Now,
		NewOwner: rand.Text,
		Logger:   logger,
	})
	handler := fetch.NewHandler(fetcher, s.TenantID, logger)
	return fetch.NewPreflight(store, writer).Before(parts.Meter.Fetches(handler.Handle)), nil
}
