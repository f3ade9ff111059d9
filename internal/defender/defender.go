// Package defender builds the Defender client of one tenant. It is the only place that does, so the
// functions and the command line cannot disagree on what a call passes through:
//
//	mde.Client
//	  entra.Transport        gets the token, before the call leases its slot
//	    ratelimit.Transport  leases a slot, sends the request, settles the slot
//	      fresh connections  one lease is one request on the wire: nothing is replayed
//
// Downloads take none of the three. A link is a credential itself, and a download costs no budget.
//
// Make an [App] from a [Tenant], and its [Client] with [App.Client]. The package reads no settings
// and knows no store: secrets and counters come from the caller, and nothing is sent before the first
// call.
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

// What Defender allows one app in one tenant of list and get calls. A sweep takes two calls, so two
// processes that count them apart stay within the hour by their pace alone, as long as each pauses ten
// seconds or more between sweeps.
const (
	listPerMinute = 100
	listPerHour   = 1500
)

// connectTimeout bounds how long a host may take to shake hands.
const connectTimeout = 15 * time.Second

// Tenant is a customer's directory, the app registered in it, and where both are reached.
type Tenant struct {
	ID       string // a GUID in lower case, as is ClientID
	ClientID string

	APIURL       *url.URL // the root of Defender's API: https, a host, no path
	AuthorityURL *url.URL // the root of Microsoft Entra ID, likewise
	Scope        string   // what a token is asked for; ends in "/.default"
	LinkHosts    []string // the only hosts packages are downloaded from, as [mde.New] reads them

	Secret entra.Secret // reads the app's client secret
	Links  Limits       // how many package links the app may ask for
}

// Limits is how many calls may be made, in any minute and in any hour.
type Limits struct {
	PerMinute int
	PerHour   int
}

// Counters keep the budgets. One Counter may serve both, and any number of tenants: the budgets carry
// the names of tenant and app.
type Counters struct {
	// Links counts package links. It MUST be the same for everybody who uses the app: two calls a
	// minute leave no room for a guess.
	Links ratelimit.Counter
	// Lists counts list and get calls, of which there are plenty: it may count this process alone.
	Lists ratelimit.Counter
}

// Transport returns what every connection of a tenant is made with. It trusts roots, or the system's
// where roots is nil.
func Transport(roots *x509.CertPool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forbidigo // a copy, and calls are counted above it
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.TLSHandshakeTimeout = connectTimeout
	return t
}

// App is the app registration of one tenant, with the tokens it has. It is safe for concurrent use.
type App struct {
	tenant    Tenant
	transport *http.Transport
	tokens    *entra.TokenSource
	now       func() time.Time
}

// NewApp returns the tenant's app, without a token yet. All connections are made like transport's; see
// [Transport].
func NewApp(tenant Tenant, transport *http.Transport, now func() time.Time) *App {
	return &App{
		tenant: tenant, transport: transport, now: now,
		tokens: entra.NewTokenSource(entra.Application{
			TenantID: tenant.ID, ClientID: tenant.ClientID,
			AuthorityURL: tenant.AuthorityURL.String(), Scope: tenant.Scope,
		}, tenant.Secret, transport, now),
	}
}

// SignIn gets a token unless there is one already. It costs no budget; errors are those of
// [entra.TokenSource.Token].
func (a *App) SignIn(ctx context.Context) error {
	_, err := a.tokens.Token(ctx)
	return err
}

// Client is one tenant's Defender. Every call but a download is counted and carries a token.
type Client struct {
	*mde.Client

	// Gauge reads the budget of package links.
	Gauge ratelimit.Gauge
}

// Client returns the app's client. newOwner MUST never return the same name twice, in any process: it
// names the leases. Errors are those of [mde.New].
func (a *App) Client(counters Counters, newOwner func() string, logger *slog.Logger) (Client, error) {
	lists := a.budget("machineactions", Limits{PerMinute: listPerMinute, PerHour: listPerHour})
	links := a.budget("getPackageUri", a.tenant.Links)
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

// budget returns the app's budget of one API. Its name is stored: those who share it share the calls.
func (a *App) budget(api string, limits Limits) ratelimit.Budget {
	return ratelimit.Budget{
		Name:      a.tenant.ID + "#" + a.tenant.ClientID + "#" + api,
		PerMinute: limits.PerMinute, PerHour: limits.PerHour,
	}
}
