package local

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

var errNoRegion = errors.New("AWS region not configured: set AWS_REGION to the region that the credential is in")

// awsConfig returns the user's AWS configuration, or that of the simulated STS.
func (r *Runtime) awsConfig(ctx context.Context) (aws.Config, error) {
	if r.tenant != nil {
		url := r.tenant.STSURL()
		return aws.Config{
			Region: "us-east-1", BaseEndpoint: &url,
			Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
		}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return aws.Config{}, errNoRegion
	}
	return cfg, nil
}
