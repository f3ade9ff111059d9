package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/archive"
	"packhorse/internal/fetch"
)

// embeddedBucket is the bucket of the embedded S3 server, and so a folder's name.
const embeddedBucket = "evidence"

// openArchive opens the bucket of the command line, or the embedded one. Whether it can be used is for
// the preflight to find out.
func (s *station) openArchive(ctx context.Context, logger *slog.Logger) error {
	client, bucket, err := s.s3Client(ctx)
	if err != nil {
		return err
	}
	s.bucket = bucket
	s.archive = archive.New(client, bucket, s.settings.Lock(), archive.PartSize, archive.PartsInFlight,
		time.Now, logger)
	return nil
}

func (s *station) s3Client(ctx context.Context) (*s3.Client, string, error) {
	if s.options.bucket == "" {
		err := checkAttributes(s.options.data)
		if err != nil {
			return nil, "", err
		}
		server, err := embedded.StartS3(ctx, embedded.S3Config{
			Dir: filepath.Join(s.options.data, s3Folder), Bucket: embeddedBucket,
			ObjectLock: true,
		})
		if err != nil {
			return nil, "", err
		}
		s.onClose(server.Close)
		s.space = embedded.NewSpace(filepath.Join(s.options.data, s3Folder), embedded.FreeBytes, time.Now)
		return server.Client(), embeddedBucket, nil
	}
	s.space = fetch.Unlimited{}
	client, err := userS3(ctx, s.options.s3Endpoint)
	return client, s.options.bucket, err
}

// userS3 returns a client with the user's AWS configuration; an empty endpoint is AWS.
func userS3(ctx context.Context, endpoint string) (*s3.Client, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if aws.Region == "" && endpoint == "" {
		return nil, errNoRegion
	}
	return s3.NewFromConfig(aws, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.UsePathStyle = true
			if o.Region == "" {
				o.Region = "us-east-1" // services with an endpoint of their own care little
			}
		}
	}), nil
}

var errNoRegion = errors.New("no AWS region is configured: set AWS_REGION to the bucket's")
