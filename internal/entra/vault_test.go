package entra_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"

	"packhorse/internal/entra"
)

// manager holds one secret.
type manager struct {
	value    *string
	previous *string // nil if there is none
	err      error
	reads    int
}

func (m *manager) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput,
	_ ...func(*secretsmanager.Options),
) (*secretsmanager.GetSecretValueOutput, error) {
	m.reads++
	if m.err != nil {
		return nil, m.err
	}
	switch {
	case in.VersionId != nil || *in.SecretId != "packhorse/defender":
		return nil, &smithy.GenericAPIError{Code: "ValidationException"}
	case in.VersionStage == nil:
	case *in.VersionStage != "AWSPREVIOUS" || m.previous == nil:
		return nil, &smithy.GenericAPIError{Code: "ResourceNotFoundException"}
	default:
		return &secretsmanager.GetSecretValueOutput{SecretString: m.previous}, nil
	}
	return &secretsmanager.GetSecretValueOutput{SecretString: m.value}, nil
}

func newVault(m *manager, c *clock) *entra.Vault {
	return entra.NewVault(m, "packhorse/defender", c.now)
}

// proofs reads a client secret from Secrets Manager.
func proofs(t *testing.T, m *manager, c *clock) ([]entra.Proof, error) {
	return entra.NewClientSecret(newVault(m, c), "packhorse/defender").Proofs(t.Context(), entra.Application{}, false)
}

// TestSecretForms: a secret is bare, or JSON with the day on which it expires.
func TestSecretForms(t *testing.T) {
	for value, expires := range map[string]string{
		"s3cret": "", " s3cret\n": "", `{"client_secret":"s3cret"}`: "",
		`{"client_id":"x","client_secret":" s3cret "}`:                         "",
		`{"client_secret":"s3cret","expires":"2027-03-01"}`:                    "2027-03-01",
		`{"client_secret":"s3cret","expires":"2027-03-01T10:00:00Z","note":1}`: "2027-03-01",
	} {
		got, err := proofs(t, &manager{value: &value}, &clock{})
		if err != nil || len(got) != 1 {
			t.Errorf("%q: got %v, %v", value, got, err)
			continue
		}
		day := ""
		if at := got[0].Expires; !at.IsZero() {
			day = at.Format(time.DateOnly)
		}
		if day != expires {
			t.Errorf("%q expires on %q, want %q", value, day, expires)
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
		"odd date":    {manager{value: text(`{"client_secret": "s3cret", "expires": "soon"}`)}, "not a date"},
		"missing": {manager{err: &smithy.GenericAPIError{Code: "ResourceNotFoundException"}},
			"DEFENDER_SECRET_ID"},
		"denied": {manager{err: &smithy.GenericAPIError{Code: "AccessDeniedException"}},
			"secretsmanager:GetSecretValue"},
		"key": {manager{err: &smithy.GenericAPIError{Code: "DecryptionFailure"}}, "kms:Decrypt"},
	} {
		_, err := proofs(t, &test.manager, &clock{})
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
	read := func(again bool, want string, reads int) {
		t.Helper()
		got, err := v.Read(t.Context(), again)
		if err != nil || got != want || m.reads != reads {
			t.Errorf("got %q after %d reads, %v, want %q after %d", got, m.reads, err, want, reads)
		}
	}
	read(false, "old", 1)
	c.move(4 * time.Minute)
	read(false, "old", 1)
	value = "new"
	read(false, "old", 1)
	read(true, "new", 2)
	read(false, "new", 2)
	value = "newer"
	c.move(5 * time.Minute)
	read(false, "newer", 3)
}

// After a rotation the first refused request reads the secret again, and nobody notices more than
// that.
func TestRotated(t *testing.T) {
	a := startAuthority(t)
	good, stale := a.secret, "rotated~away"
	a.secret = stale
	m := &manager{value: &a.secret}
	source := a.sourceOf(newVault(m, a.clock))
	if _, err := newVault(m, a.clock).Read(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	vault := newVault(m, a.clock)
	if _, err := vault.Read(t.Context(), false); err != nil { // kept from before the rotation
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

// TestOverlap: while a secret is replaced, Entra ID accepts two. The current one is tried first, then the one
// before it, wherever that is kept.
func TestOverlap(t *testing.T) {
	for name, keep := range map[string]func(m *manager, old string){
		"version": func(m *manager, old string) {
			value := "too~new"
			m.value, m.previous = &value, &old
		},
		"text": func(m *manager, old string) {
			value := `{"client_secret":"too~new","previous":"` + old + `"}`
			m.value = &value
		},
	} {
		a := startAuthority(t)
		m := &manager{}
		keep(m, a.secret)
		if _, err := a.sourceOf(newVault(m, a.clock)).Token(t.Context()); err != nil || a.tokenCalls() != 2 {
			t.Errorf("%s: after %d requests: %v", name, a.tokenCalls(), err)
		}
		stale := "wrong~too"
		keep(m, stale)
		calls := a.tokenCalls()
		_, err := a.sourceOf(newVault(m, a.clock)).Token(t.Context())
		if refused, ok := errors.AsType[*entra.Error](err); !ok || refused.Code != 7000215 || a.tokenCalls() != calls+2 {
			t.Errorf("%s: both are wrong: %v after %d requests", name, err, a.tokenCalls()-calls)
		}
	}
}
