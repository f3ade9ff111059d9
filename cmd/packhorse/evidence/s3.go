package evidence

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/awsconfig"
)

// S3 returns a client with the user's AWS configuration. An empty endpoint means AWS.
func S3(ctx context.Context, endpoint string) (*s3.Client, error) {
	load := awsconfig.Any
	if endpoint == "" {
		load = func(ctx context.Context) (aws.Config, error) { return awsconfig.Load(ctx, "the bucket") }
	}
	cfg, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
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
