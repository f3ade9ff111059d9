// Package defender builds the Defender client of one tenant. Nothing else does, so a call passes
// through the same layers in the functions and the command line:
//
//	mde.Client
//	  entra.Transport        gets the token, before the call leases its slot
//	    ratelimit.Transport  leases a slot, sends the request, settles the slot
//	      fresh connections  one lease is one request on the wire: nothing is replayed
//
// Downloads pass through none of the three. A link is itself a credential, and a download costs no
// budget.
//
// Make an [App] from a [Tenant], and its [Client] with [App.Client]. The package does not read
// settings and does not depend on a store: the caller provides credential and counters. Nothing is
// sent before the first call.
package defender

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"packhorse/internal/entra"
	"packhorse/internal/mde"
	"packhorse/internal/ratelimit"
)

// Defender's limits on the list and get calls of one app in one tenant. A sweep takes two calls, so
// two processes that count separately stay within the hourly limit by their pace alone, if each
// pauses at least ten seconds between sweeps.
const (
	listPerMinute = 100
	listPerHour   = 1500
)

// connectTimeout bounds how long a host may take to shake hands.
const connectTimeout = 15 * time.Second

// Tenant is a customer's directory, the app registered in it, and the addresses of both.
type Tenant struct {
	ID       string // a GUID in lower case, as is ClientID
	ClientID string

	APIURL       *url.URL // the root of Defender's API: https, a host, no path
	AuthorityURL *url.URL // the root of Microsoft Entra ID, also without a path
	Scope        string   // of the tokens; ends in "/.default"
	LinkHosts    []string // the only hosts packages are downloaded from, as [mde.New] reads them

	Credential entra.Credential // how the app proves who it is; see [NewCredential]
	Links      Limits           // how many package links the app may ask for
}

// Limits is how many calls may be made, in any minute and in any hour.
type Limits struct {
	PerMinute int
	PerHour   int
}

// Counters keep the budgets. One Counter may serve both and any number of tenants, because the name
// of a budget includes the tenant and the app.
type Counters struct {
	// Links counts package links. It MUST be shared by everybody who uses the app: two calls a
	// minute leave no room for a guess.
	Links ratelimit.Counter
	// Lists counts list and get calls, which are plentiful: it may count this process alone.
	Lists ratelimit.Counter
}

// Transport returns the transport for all connections of a tenant. It trusts roots, or the system's
// roots if roots is nil.
func Transport(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forbidigo // a copy; calls are counted above it
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.TLSHandshakeTimeout = connectTimeout
	return t
}

// App is the app registration of one tenant, with its tokens. It is safe for concurrent use.
type App struct {
	tenant    Tenant
	transport *http.Transport
	tokens    *entra.TokenSource
	now       func() time.Time
}

// NewApp returns the tenant's app, without a token yet. Its connections use copies of transport;
// see [Transport].
func NewApp(tenant Tenant, transport *http.Transport, now func() time.Time) *App {
	return &App{
		tenant: tenant, transport: transport, now: now,
		tokens: entra.NewTokenSource(entra.Application{
			TenantID: tenant.ID, ClientID: tenant.ClientID,
			AuthorityURL: tenant.AuthorityURL.String(), Scope: tenant.Scope,
		}, tenant.Credential, transport, now),
	}
}

// SignIn gets a token unless the app has one already. It costs no budget; errors are those of
// [entra.TokenSource.Token].
func (a *App) SignIn(ctx context.Context) error {
	_, err := a.tokens.Token(ctx)
	return err
}

// Roles returns the application roles that the app's token grants. It costs no budget; errors are those of
// [entra.TokenSource.Roles].
func (a *App) Roles(ctx context.Context) ([]string, error) { return a.tokens.Roles(ctx) }

// Linked reports whether the app has requested links that counter counted.
func (a *App) Linked(ctx context.Context, counter ratelimit.Counter) (bool, error) {
	state, err := counter.Peek(ctx, LinkBudget(a.tenant.ID, a.tenant.ClientID, a.tenant.Links))
	return len(state.Slots) > 0, err
}

// Standing returns the proof that Entra ID accepted last, or the zero value before the first token.
func (a *App) Standing() entra.Standing { return a.tokens.Standing() }

// Client is one tenant's Defender. Every call except a download is counted and carries a token.
type Client struct {
	*mde.Client

	// Gauge reads the budget of package links.
	Gauge ratelimit.Gauge
}

// Client returns the app's client. newOwner names the leases: it MUST never return the same name
// twice, in any process. Errors are those of [mde.New].
func (a *App) Client(counters Counters, newOwner func() string, logger *slog.Logger) (Client, error) {
	lists := budget(a.tenant.ID, a.tenant.ClientID, "machineactions", Limits{PerMinute: listPerMinute, PerHour: listPerHour})
	links := LinkBudget(a.tenant.ID, a.tenant.ClientID, a.tenant.Links)
	counted := func(counter ratelimit.Counter, budget ratelimit.Budget) http.RoundTripper {
		once := ratelimit.FreshConnections(a.transport)
		return entra.NewTransport(
			ratelimit.NewTransport(once, counter, budget, a.now, newOwner, logger),
			a.tokens, a.tenant.APIURL)
	}
	client, err := mde.New(a.tenant.APIURL, a.tenant.ID, counted(counters.Lists, lists),
		counted(counters.Links, links), a.transport, a.tenant.LinkHosts, a.now)
	if err != nil {
		return Client{}, err
	}
	return Client{Client: client, Gauge: ratelimit.NewGauge(counters.Links, links)}, nil
}

// LinkAPI is the API for package links, as the name of its budget ends.
const LinkAPI = "getPackageUri"

// LinkBudget returns an app's budget of package links.
func LinkBudget(tenantID, clientID string, limits Limits) ratelimit.Budget {
	return budget(tenantID, clientID, LinkAPI, limits)
}

// budget returns an app's budget for one API. Its name is stored: clients that share it share the
// calls.
func budget(tenantID, clientID, api string, limits Limits) ratelimit.Budget {
	return ratelimit.Budget{
		Name: tenantID + "#" + clientID + "#" + api, PerMinute: limits.PerMinute, PerHour: limits.PerHour,
	}
}
