package cloud

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"packhorse/internal/doctor"
	"packhorse/internal/entra"
)

func (c *Cloud) key(arn string) doctor.Look[doctor.StackKey] {
	return func(ctx context.Context) (doctor.StackKey, error) {
		out, err := c.keys.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &arn})
		if err != nil {
			return doctor.StackKey{}, seen(err, "kms:DescribeKey", "the key "+arn)
		}
		return doctor.StackKey{
			State: string(out.KeyMetadata.KeyState), Spec: string(out.KeyMetadata.KeySpec),
			Usage: string(out.KeyMetadata.KeyUsage), DeletedAt: aws.ToTime(out.KeyMetadata.DeletionDate),
		}, nil
	}
}

func (c *Cloud) keyPolicy(arn string) doctor.Look[string] {
	return func(ctx context.Context) (string, error) {
		out, err := c.keys.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &arn, PolicyName: aws.String("default")})
		if err != nil {
			return "", seen(err, "kms:GetKeyPolicy", "the key "+arn)
		}
		return aws.ToString(out.Policy), nil
	}
}

func (c *Cloud) rotation(ctx context.Context) (bool, error) {
	out, err := c.keys.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: &c.want.KeyARN})
	if err != nil {
		return false, seen(err, "kms:GetKeyRotationStatus", "the key "+c.want.KeyARN)
	}
	return out.KeyRotationEnabled, nil
}

// placeholder is what the template's secret holds until somebody replaces it.
const placeholder = "replace-me"

// secret reads the secret as the functions do, and forgets it.
func (c *Cloud) secret(ctx context.Context) (doctor.StackSecret, error) {
	text, err := c.Vault().Read(ctx, true)
	if err == nil { // in the form that the functions accept
		_, err = entra.NewClientSecret(entra.Text(text), c.want.Secret).Proofs(ctx, entra.Application{}, false)
	}
	if codeOf(err) == "InvalidRequestException" {
		return doctor.StackSecret{Deleted: true}, nil
	}
	if codeOf(err) != "" {
		return doctor.StackSecret{}, seen(err, "secretsmanager:GetSecretValue", "the value of the secret "+c.want.Secret)
	}
	if unusable, ok := errors.AsType[*entra.Error](err); ok {
		return doctor.StackSecret{Problem: unusable.Error()}, nil
	}
	if err != nil {
		return doctor.StackSecret{}, seen(err, "secretsmanager:GetSecretValue", "the secret "+c.want.Secret)
	}
	return doctor.StackSecret{Placeholder: entra.SecretIs(text, placeholder)}, nil
}

// Vault reads the stack's client secret.
func (c *Cloud) Vault() *entra.Vault { return entra.NewVault(c.secrets, c.want.Secret, c.now) }
