// Package awsconfig loads the user's AWS configuration.
package awsconfig

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// Load returns the user's AWS configuration. It is an error if no region is configured; of is what has to be in
// that region, such as "the stack".
func Load(ctx context.Context, of string) (aws.Config, error) {
	cfg, err := Any(ctx)
	if err == nil && cfg.Region == "" {
		err = fmt.Errorf("AWS region not configured: set AWS_REGION to the region of %s", of)
	}
	if err != nil {
		return aws.Config{}, err
	}
	return cfg, nil
}

// Any is Load for services that may do without a region.
func Any(ctx context.Context) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	return cfg, nil
}
