package entra_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"packhorse/internal/entra"
)

// manager holds one secret.
type manager struct {
	value *string
	err   error
	reads int
}

func (m *manager) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput,
	_ ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	m.reads++
	if m.err != nil {
		return nil, m.err
	}
	if in.VersionStage != nil || in.VersionId != nil || *in.SecretId != "packhorse/defender" {
		return nil, &smithy.GenericAPIError{Code: "ValidationException"}
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: m.value}, nil
}

func newVault(m *manager, c *clock) *entra.Vault {
	return entra.NewVault(m, "packhorse/defender", c.now)
}

func TestVaultForms(t *testing.T) {
	for value, want := range map[string]string{
		"s3cret": "s3cret", " s3cret\n": "s3cret", `{"client_secret":"s3cret"}`: "s3cret",
		`{"client_id":"x","client_secret":" s3cret "}`: "s3cret",
	} {
		got, err := newVault(&manager{value: &value}, &clock{}).Secret(t.Context(), "")
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v", value, got, err)
		}
	}
}

func TestVaultRefuses(t *testing.T) {
	text := func(s string) *string { return &s }
	for name, test := range map[string]struct {
		manager manager
		says    string
	}{
		"empty":       {manager{value: text(" \n")}, "empty"},
		"binary":      {manager{}, "binary"},
		"not JSON":    {manager{value: text(`{"client_secret": s3cret}`)}, "begins like JSON"},
		"another key": {manager{value: text(`{"password": "s3cret"}`)}, `"client_secret"`},
		"empty key":   {manager{value: text(`{"client_secret": ""}`)}, `"client_secret"`},
		"missing": {manager{err: &smithy.GenericAPIError{Code: "ResourceNotFoundException"}},
			"DEFENDER_SECRET_ID"},
		"denied": {manager{err: &smithy.GenericAPIError{Code: "AccessDeniedException"}},
			"secretsmanager:GetSecretValue"},
		"key": {manager{err: &smithy.GenericAPIError{Code: "DecryptionFailure"}}, "kms:Decrypt"},
	} {
		_, err := newVault(&test.manager, &clock{}).Secret(t.Context(), "")
		if err == nil || !strings.Contains(err.Error(), test.says) ||
			!strings.Contains(err.Error(), "packhorse/defender") ||
			strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A secret is cached for five minutes, unless it was refused.
func TestVaultKeeps(t *testing.T) {
	value := "old"
	m, c := &manager{value: &value}, &clock{at: time.Now()}
	v := newVault(m, c)
	read := func(refused, want string, reads int) {
		t.Helper()
		got, err := v.Secret(t.Context(), refused)
		if err != nil || got != want || m.reads != reads {
			t.Errorf("got %q after %d reads, %v, want %q after %d", got, m.reads, err, want, reads)
		}
	}
	read("", "old", 1)
	c.move(4 * time.Minute)
	read("", "old", 1)
	value = "new"
	read("", "old", 1)
	read("old", "new", 2)
	read("old", "new", 2)
	value = "newer"
	c.move(5 * time.Minute)
	read("", "newer", 3)
}

// After a rotation the first refused request reads the secret again, and nobody notices more than
// that.
func TestRotated(t *testing.T) {
	a := startAuthority(t)
	good, stale := a.secret, "rotated~away"
	a.secret = stale
	m := &manager{value: &a.secret}
	source := a.sourceOf(newVault(m, a.clock))
	if _, err := newVault(m, a.clock).Secret(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	vault := newVault(m, a.clock)
	if _, err := vault.Secret(t.Context(), ""); err != nil { // kept from before the rotation
		t.Fatal(err)
	}
	a.secret = good
	if _, err := a.sourceOf(vault).Token(t.Context()); err != nil || a.tokenCalls() != 2 {
		t.Errorf("after a rotation: %v, %d requests", err, a.tokenCalls())
	}
	a.secret = stale // not rotated: one more read, no more requests
	calls := a.tokenCalls()
	if _, err := source.Token(t.Context()); err == nil || a.tokenCalls() != calls+1 {
		t.Errorf("a wrong secret was tried %d times, %v", a.tokenCalls()-calls, err)
	}
}
