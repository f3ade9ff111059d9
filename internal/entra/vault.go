package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
)

// keepSecret is how long a secret is cached.
const keepSecret = 5 * time.Minute

// SecretsManager is the part of *secretsmanager.Client that a Vault uses.
type SecretsManager interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput,
		...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

// Vault reads the client secret from Secrets Manager, on demand and only the current version
// (AWSCURRENT). Errors never show the value. It is safe for concurrent use.
type Vault struct {
	client SecretsManager
	id     string
	now    func() time.Time

	mu     sync.Mutex // guards the fields below; held while the secret is read
	secret string
	readAt time.Time
}

// NewVault returns a Vault for the secret with this name or ARN.
func NewVault(client SecretsManager, id string, now func() time.Time) *Vault {
	return &Vault{client: client, id: id, now: now}
}

// Secret returns the client secret. It may return a value cached up to five minutes ago, unless
// that value is refused: the secret that Entra ID has just rejected, or "".
func (v *Vault) Secret(ctx context.Context, refused string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.secret != "" && v.secret != refused && v.now().Before(v.readAt.Add(keepSecret)) {
		return v.secret, nil
	}
	out, err := v.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &v.id})
	if err != nil {
		return "", v.explain(err)
	}
	if out.SecretString == nil {
		return "", v.unusable("it is binary")
	}
	secret, problem := clientSecretOf(*out.SecretString)
	if problem != "" {
		return "", v.unusable(problem)
	}
	v.secret, v.readAt = secret, v.now()
	return secret, nil
}

// clientSecretOf returns the secret from either format, or the problem with it.
func clientSecretOf(value string) (secret, problem string) {
	value = strings.TrimSpace(value)
	if !strings.HasPrefix(value, "{") {
		if value == "" {
			return "", "it is empty"
		}
		return value, ""
	}
	var fields struct {
		ClientSecret string `json:"client_secret"`
	}
	err := json.Unmarshal([]byte(value), &fields)
	switch {
	case err != nil:
		return "", "it begins like JSON but is malformed" // the error may quote the value
	case strings.TrimSpace(fields.ClientSecret) == "":
		return "", `its JSON lacks "client_secret", or the value is empty`
	}
	return strings.TrimSpace(fields.ClientSecret), ""
}

func (v *Vault) unusable(problem string) *Error {
	return &Error{
		Message: fmt.Sprintf("the secret %s cannot be used: %s", v.id, problem),
		Advice:  `give it the client secret's value, bare or as {"client_secret": "…"}`,
	}
}

// vaultAdvice say how to fix an error. Source: the errors of GetSecretValue in the API reference.
var vaultAdvice = map[string]string{
	"ResourceNotFoundException": "it does not exist here or is still empty: check" +
		" DEFENDER_SECRET_ID and the region",
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
