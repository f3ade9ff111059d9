package wiring

import (
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/logging"
)

// compressFrom is the SDK's default for the size from which requests are compressed.
const compressFrom = 10240

// awsConfig returns the configuration that Lambda puts into a function's environment: keys, region, endpoints.
//
// config.LoadDefaultConfig would return the same, but it links every other way of signing in as well (profiles,
// single sign-on, the metadata service), which is a twelfth of the binary and which a function cannot use. A test
// compares the two. Only AWS_CA_BUNDLE, which the template does not set, is left out.
func awsConfig() (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if !env.Credentials.HasKeys() {
		return aws.Config{}, errors.New("load the AWS configuration: Lambda has set no keys: does the function have a role?")
	}
	cfg := aws.Config{
		Region:        env.Region,
		Credentials:   aws.NewCredentialsCache(credentials.StaticCredentialsProvider{Value: env.Credentials}),
		ConfigSources: []any{env}, // from which clients read the endpoint of their service
		Logger:        logging.NewStandardLogger(os.Stderr),
		DefaultsMode:  aws.DefaultsModeLegacy,

		RetryMode: env.RetryMode, RetryMaxAttempts: env.RetryMaxAttempts, AppID: env.AppID,
		RequestMinCompressSizeBytes: compressFrom,
		AccountIDEndpointMode:       aws.AccountIDEndpointModePreferred,
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenSupported,
		RestrictFilePermissions:     aws.RestrictFilePermissionsUserReadWrite,
	}
	if env.BaseEndpoint != "" {
		cfg.BaseEndpoint = &env.BaseEndpoint
	}
	return cfg, nil
}
