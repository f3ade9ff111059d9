package entra_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
)

// clock is a clock that only the test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// authority is a simulated Entra ID with an application.
type authority struct {
	*mdesim.Server
	clock       *clock
	base        *http.Transport
	application entra.Application

	secret string
	reads  int // reads of the secret
}

func startAuthority(t *testing.T) *authority {
	t.Helper()
	return startAuthorityOf(t, func(*mdesim.Config) {})
}

func startAuthorityOf(t *testing.T, change func(*mdesim.Config)) *authority {
	t.Helper()
	clock := &clock{at: time.Now()}
	config := mdesim.Defaults()
	change(&config)
	server, err := mdesim.Start(t.Context(), config, clock.now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.CAPEM)
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.TLSClientConfig.RootCAs = roots
	t.Cleanup(func() {
		base.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return &authority{
		Server: server, clock: clock, base: base, secret: config.ClientSecret,
		application: entra.Application{
			TenantID: config.TenantID, ClientID: config.ClientID, AuthorityURL: server.APIURL,
			Scope: "https://api.securitycenter.microsoft.com/.default",
		},
	}
}

// Read and Previous make the authority's secret a store.
func (a *authority) Read(_ context.Context, again bool) (string, error) {
	if !again {
		a.reads++
	}
	return a.secret, nil
}

func (*authority) Previous(context.Context) (string, error) { return "", nil }

func (a *authority) source() *entra.TokenSource { return a.sourceOf(a) }

func (a *authority) sourceOf(store entra.Store) *entra.TokenSource {
	return entra.NewTokenSource(a.application, entra.NewClientSecret(store, "here"), a.base, a.clock.now)
}

func (a *authority) tokenCalls() int { return a.Judge().Verdict().Calls[mdesim.KindToken] }

// A token is requested on demand and kept until shortly before it expires. Concurrent callers share
// one.
func TestTokenIsKept(t *testing.T) {
	a := startAuthority(t)
	source := a.source()
	if a.reads != 0 {
		t.Error("the secret was read before a token was needed")
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if token, err := source.Token(t.Context()); err != nil || token == "" {
				t.Errorf("got %q, %v", token, err)
			}
		})
	}
	all.Wait()
	first, err := source.Token(t.Context())
	if err != nil || a.tokenCalls() != 1 || a.reads != 1 {
		t.Fatalf("%d tokens were requested, the secret read %d times, %v", a.tokenCalls(), a.reads, err)
	}
	a.clock.move(30 * time.Minute)
	if again, err := source.Token(t.Context()); err != nil || again != first {
		t.Errorf("the token changed after half an hour, %v", err)
	}
	a.clock.move(2 * time.Hour)
	second, err := source.Token(t.Context())
	if err != nil || second == first || a.tokenCalls() != 2 || a.reads != 2 {
		t.Errorf("the token was not replaced: %d calls, %d reads, %v", a.tokenCalls(), a.reads, err)
	}
}

// Each refusal says how to fix it, does not blame the package, and shows no secret. Other callers
// do not repeat it.
func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*authority)
		code  int
		says  []string
	}{
		"wrong secret": {
			func(a *authority) { a.secret = "wrong~secret" }, 7000215,
			[]string{"secret's value (not its ID)"},
		},
		"expired secret": {
			func(a *authority) { a.SetFaults(mdesim.Faults{SecretExpired: true}) }, 7000222,
			[]string{"expired", "create a new one"},
		},
		"unknown application": {
			func(a *authority) { a.application.ClientID = "00000000-0000-4000-8000-000000000000" }, 700016,
			[]string{"DEFENDER_CLIENT_ID"},
		},
		"unknown tenant": {
			func(a *authority) { a.application.TenantID = "00000000-0000-4000-8000-000000000000" }, 90002,
			[]string{"DEFENDER_TENANT_ID"},
		},
		"no roles": {
			func(a *authority) { a.SetFaults(mdesim.Faults{TokenWithoutRoles: true}) }, 0,
			[]string{"consent"},
		},
		"empty secret": {
			func(a *authority) { a.secret = "" }, 0, []string{"it is empty", "client secret's value"},
		},
		"unreachable": {
			func(a *authority) { a.application.AuthorityURL = "https://127.0.0.1:1" }, 0, []string{"refused"},
		},
		"untrusted": {
			func(a *authority) { a.base.TLSClientConfig.RootCAs = x509.NewCertPool() }, 0,
			[]string{"certificate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAuthority(t)
			test.spoil(a)
			source := a.source()
			_, err := source.Token(t.Context())
			refused, isRefusal := errors.AsType[*entra.Error](err)
			_, postponed := errors.AsType[*investigation.PostponedError](err)
			if !isRefusal || !postponed || refused.Code != test.code {
				t.Fatalf("got %#v: %v", err, err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			for _, secret := range []string{mdesim.Defaults().ClientSecret, "wrong~secret", "eyJ"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows the secret %q: %v", secret, err)
				}
			}
			if stood := source.Standing() != (entra.Standing{}); stood != refused.NoRoles() {
				t.Errorf("the standing is %+v", source.Standing())
			}
			calls := a.tokenCalls()
			if _, err := source.Token(t.Context()); err == nil || a.tokenCalls() != calls {
				t.Errorf("the next caller asked again immediately: %d calls, then %d", calls, a.tokenCalls())
			}
		})
	}
}

// After a refusal, a later request uses the secret's current value.
func TestFixedSecretIsUsed(t *testing.T) {
	a := startAuthority(t)
	good := a.secret
	a.secret = "wrong~secret"
	source := a.source()
	if _, err := source.Token(t.Context()); err == nil {
		t.Fatal("a wrong secret was accepted")
	}
	a.secret = good
	a.clock.move(time.Minute)
	if _, err := source.Token(t.Context()); err != nil {
		t.Errorf("after the secret was fixed: %v", err)
	}
}

// A canceled context only affects its caller; the source does not remember it as a failure.
func TestCancelledCaller(t *testing.T) {
	a := startAuthority(t)
	source := a.source()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := source.Token(ctx)
	if _, postponed := errors.AsType[*investigation.PostponedError](err); postponed ||
		!errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := source.Token(t.Context()); err != nil {
		t.Errorf("the next caller: %v", err)
	}
}

// TestRoles: the roles are those in the token; a token without any says so.
func TestRoles(t *testing.T) {
	a := startAuthority(t)
	roles, err := a.source().Roles(t.Context())
	if err != nil || !slices.Equal(roles, []string{"Machine.CollectForensics", "Machine.Read.All"}) {
		t.Errorf("got %q, %v", roles, err)
	}
	a.SetFaults(mdesim.Faults{TokenWithoutRoles: true})
	_, err = a.source().Roles(t.Context())
	if refusal, ok := errors.AsType[*entra.Error](err); !ok || !refusal.NoRoles() {
		t.Errorf("got %v", err)
	}
	a.SetFaults(mdesim.Faults{SecretExpired: true})
	_, err = a.source().Roles(t.Context())
	if refusal, ok := errors.AsType[*entra.Error](err); !ok || refusal.NoRoles() {
		t.Errorf("got %v", err)
	}
}
