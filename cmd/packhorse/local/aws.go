package local

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"packhorse/cmd/packhorse/awsconfig"
)

// awsConfig returns the user's AWS configuration, or that of the simulated STS.
func (r *Runtime) awsConfig(ctx context.Context) (aws.Config, error) {
	if r.site != nil {
		url := r.site.STSURL()
		return aws.Config{
			Region: "us-east-1", BaseEndpoint: &url,
			Credentials: credentials.NewStaticCredentialsProvider("simulated", "simulated", ""),
		}, nil
	}
	return awsconfig.Load(ctx, "the credential")
}
