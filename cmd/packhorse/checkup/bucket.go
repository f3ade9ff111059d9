package checkup

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"packhorse/internal/doctor"
)

// denied turns the refusal of a call that needs the permission action into one that names it.
func denied(err error, action string) error {
	switch codeOf(err) {
	case "AccessDenied", "Forbidden":
		return &doctor.DeniedError{Action: action}
	default:
		return err
	}
}

// codeOf returns the code of a service's answer, or an empty string.
func codeOf(err error) string {
	answer, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	return answer.ErrorCode()
}

func (m *Machine) versioning(ctx context.Context) (string, error) {
	a, err := m.open(ctx)
	if err != nil {
		return "", err
	}
	out, err := a.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &a.bucket})
	if err != nil {
		return "", denied(err, "s3:GetBucketVersioning")
	}
	return string(out.Status), nil
}

func (m *Machine) encryption(ctx context.Context) (string, error) {
	a, err := m.open(ctx)
	if err != nil {
		return "", err
	}
	out, err := a.client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &a.bucket})
	if codeOf(err) == "ServerSideEncryptionConfigurationNotFoundError" {
		return "", nil
	}
	if err != nil {
		return "", denied(err, "s3:GetEncryptionConfiguration")
	}
	if out.ServerSideEncryptionConfiguration == nil {
		return "", nil
	}
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		if by := rule.ApplyServerSideEncryptionByDefault; by != nil {
			return string(by.SSEAlgorithm), nil
		}
	}
	return "", nil
}

func (m *Machine) publicAccess(ctx context.Context) (bool, error) {
	a, err := m.open(ctx)
	if err != nil {
		return false, err
	}
	out, err := a.client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &a.bucket})
	if codeOf(err) == "NoSuchPublicAccessBlockConfiguration" {
		return false, nil
	}
	if err != nil {
		return false, denied(err, "s3:GetBucketPublicAccessBlock")
	}
	b := out.PublicAccessBlockConfiguration
	return b != nil && aws.ToBool(b.BlockPublicAcls) && aws.ToBool(b.IgnorePublicAcls) &&
		aws.ToBool(b.BlockPublicPolicy) && aws.ToBool(b.RestrictPublicBuckets), nil
}
