// Command fetch-package is the Lambda function that carries one package from Defender into the
// evidence bucket, when a Ready event says that it can be fetched.
package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"packhorse/functions/internal/wiring"
	"packhorse/internal/fetch"
	"packhorse/internal/settings"
)

// What this binary was built of: a tag or its like, and a commit. The Makefile sets both; a manifest
// says them.
var version, commit = "unknown", "unknown"

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
	parts, err := wiring.Build(s, settings.FetchBase(environment), logger)
	if err != nil {
		return nil, err
	}
	served := newTenants(parts, s.SigningKeyID, environment["AWS_ENDPOINT_URL_S3"], logger)
	handler := fetch.NewHandler(fetch.NewTenants(served.lookup, time.Now), logger)
	return parts.Meter.Fetches(handler.Handle), nil
}
