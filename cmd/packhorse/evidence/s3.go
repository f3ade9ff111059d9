package evidence

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// S3 returns a client with the user's AWS configuration. An empty endpoint means AWS.
func S3(ctx context.Context, endpoint string) (*s3.Client, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if aws.Region == "" && endpoint == "" {
		return nil, errNoRegion
	}
	return s3.NewFromConfig(aws, func(o *s3.Options) {
		// Otherwise every object of a service without checksums costs a line on standard error.
		o.DisableLogOutputChecksumValidationSkipped = true
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.UsePathStyle = true
			if o.Region == "" {
				o.Region = "us-east-1" // the SDK wants a region; other S3 services mostly ignore it
			}
		}
	}), nil
}

var errNoRegion = errors.New("AWS region not configured: set AWS_REGION to the region of the bucket")
