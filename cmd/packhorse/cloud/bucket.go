package cloud

import (
	"cmp"
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/internal/doctor"
)

func (c *Cloud) bucket(ctx context.Context) (doctor.StackBucket, error) {
	out, err := c.objects.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &c.want.Bucket})
	if err != nil {
		return doctor.StackBucket{}, seen(err, "s3:ListBucket", "the bucket "+c.want.Bucket)
	}
	return doctor.StackBucket{Region: cmp.Or(aws.ToString(out.BucketRegion), c.want.Region)}, nil
}

// of names a part of the bucket that does not exist.
func (c *Cloud) of(part string) string { return part + " of the bucket " + c.want.Bucket }

func (c *Cloud) versioning(ctx context.Context) (string, error) {
	out, err := c.objects.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.want.Bucket})
	if err != nil {
		return "", seen(err, "s3:GetBucketVersioning", c.of("the versioning"))
	}
	return string(out.Status), nil
}

func (c *Cloud) lock(ctx context.Context) (doctor.StackLock, error) {
	out, err := c.objects.GetObjectLockConfiguration(ctx, &s3.GetObjectLockConfigurationInput{Bucket: &c.want.Bucket})
	if codeOf(err) == "ObjectLockConfigurationNotFoundError" {
		return doctor.StackLock{}, nil
	}
	if err != nil {
		return doctor.StackLock{}, seen(err, "s3:GetBucketObjectLockConfiguration", c.of("the lock"))
	}
	lock := doctor.StackLock{Enabled: out.ObjectLockConfiguration.ObjectLockEnabled == types.ObjectLockEnabledEnabled}
	if rule := out.ObjectLockConfiguration.Rule; rule != nil && rule.DefaultRetention != nil {
		lock.Mode = string(rule.DefaultRetention.Mode)
		lock.Days = int(aws.ToInt32(rule.DefaultRetention.Days)) + 365*int(aws.ToInt32(rule.DefaultRetention.Years))
	}
	return lock, nil
}

func (c *Cloud) encryption(ctx context.Context) (doctor.StackEncryption, error) {
	out, err := c.objects.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &c.want.Bucket})
	if codeOf(err) == "ServerSideEncryptionConfigurationNotFoundError" {
		return doctor.StackEncryption{}, nil
	}
	if err != nil {
		return doctor.StackEncryption{}, seen(err, "s3:GetEncryptionConfiguration", c.of("the encryption"))
	}
	var e doctor.StackEncryption
	for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
		if by := rule.ApplyServerSideEncryptionByDefault; by != nil {
			e = doctor.StackEncryption{Algorithm: string(by.SSEAlgorithm), Key: aws.ToString(by.KMSMasterKeyID)}
		}
	}
	return e, nil
}

func (c *Cloud) publicAccess(ctx context.Context) (bool, error) {
	out, err := c.objects.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &c.want.Bucket})
	if codeOf(err) == "NoSuchPublicAccessBlockConfiguration" {
		return false, nil
	}
	if err != nil {
		return false, seen(err, "s3:GetBucketPublicAccessBlock", c.of("the public access block"))
	}
	b := out.PublicAccessBlockConfiguration
	return b != nil && aws.ToBool(b.BlockPublicAcls) && aws.ToBool(b.IgnorePublicAcls) &&
		aws.ToBool(b.BlockPublicPolicy) && aws.ToBool(b.RestrictPublicBuckets), nil
}

func (c *Cloud) bucketPolicy(ctx context.Context) (string, error) {
	out, err := c.objects.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &c.want.Bucket})
	if codeOf(err) == "NoSuchBucketPolicy" {
		return "", &doctor.MissingError{What: c.of("the policy")}
	}
	if err != nil {
		return "", seen(err, "s3:GetBucketPolicy", c.of("the policy"))
	}
	return aws.ToString(out.Policy), nil
}
