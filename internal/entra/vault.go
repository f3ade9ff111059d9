package entra

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// keepText is how long the text of a secret is cached.
const keepText = 5 * time.Minute

// previousStage is the label that Secrets Manager gives the version before the current one.
const previousStage = "AWSPREVIOUS"

// SecretsManager is the part of *secretsmanager.Client that a Vault uses.
type SecretsManager interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput,
		...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Vault is a [Store] in Secrets Manager, read on demand. Errors never show the text. It is safe for
// concurrent use.
type Vault struct {
	client SecretsManager
	id     string
	now    func() time.Time

	mu     sync.Mutex // guards the fields below; held while the secret is read
	text   string
	readAt time.Time
}

// NewVault returns a Vault for the secret with this name or ARN.
func NewVault(client SecretsManager, id string, now func() time.Time) *Vault {
	return &Vault{client: client, id: id, now: now}
}

// Read implements [Store]. It returns the version AWSCURRENT, from a cache of at most five minutes.
func (v *Vault) Read(ctx context.Context, again bool) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.text != "" && !again && v.now().Before(v.readAt.Add(keepText)) {
		return v.text, nil
	}
	text, err := v.get(ctx, nil)
	if err != nil {
		return "", err
	}
	v.text, v.readAt = text, v.now()
	return text, nil
}

// Previous implements [Store]. It returns the version AWSPREVIOUS.
func (v *Vault) Previous(ctx context.Context) (string, error) {
	text, err := v.get(ctx, aws.String(previousStage))
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == notFound {
		return "", nil
	}
	return text, err
}

func (v *Vault) get(ctx context.Context, stage *string) (string, error) {
	out, err := v.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &v.id, VersionStage: stage})
	if err != nil {
		return "", v.explain(err)
	}
	if out.SecretString == nil {
		return "", &Error{
			Message: fmt.Sprintf("the secret %s cannot be used: it is binary", v.id),
			Advice:  "store text in it",
		}
	}
	return *out.SecretString, nil
}

// notFound is the error code for a secret, or a version of it, that does not exist.
const notFound = "ResourceNotFoundException"

// vaultAdvice say how to fix an error. Source: the errors of GetSecretValue in the API reference.
var vaultAdvice = map[string]string{
	notFound: "it does not exist here or is still empty: check" +
		" DEFENDER_SECRET_ID or DEFENDER_CERTIFICATE_SECRET_ID, and the region",
	"AccessDeniedException":   "allow secretsmanager:GetSecretValue on it, and kms:Decrypt on its key",
	"DecryptionFailure":       "allow kms:Decrypt on its key",
	"InvalidRequestException": "it may be marked for deletion: restore it",
}

func (v *Vault) explain(err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || vaultAdvice[api.ErrorCode()] == "" {
		return fmt.Errorf("get the secret %s: %w", v.id, err)
	}
	return &Error{
		Message: fmt.Sprintf("the secret %s cannot be read: %s", v.id, api.ErrorCode()),
		Advice:  vaultAdvice[api.ErrorCode()], cause: err,
	}
}
