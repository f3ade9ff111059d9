// Package checkup looks at a tenant and at one machine for the checks of packhorse doctor. It changes nothing, and
// makes one list call.
package checkup

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"packhorse/internal/defender"
	"packhorse/internal/doctor"
	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/ratelimit"
	"packhorse/internal/settings"
	"packhorse/internal/tenantapp"
)

const (
	variablePrefix    = "DEFENDER_"
	variableAPI       = "DEFENDER_API_URL"
	variableAuthority = "DEFENDER_AUTHORITY_URL"
	variableLinks     = "DEFENDER_LINK_HOSTS"
)

// Ledger is what the checks ask a ledger.
type Ledger interface {
	// Find returns the records that the filter selects, newest first.
	Find(ctx context.Context, f investigation.Filter) ([]investigation.Record, error)
	// Open returns the records of a tenant that are not done.
	Open(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Tenant looks at one tenant.
type Tenant struct {
	Environ map[string]string
	Now     func() time.Time
	Parse   func(environ map[string]string) (settings.Settings, error) // ParseCLI or ParsePoll
	AWS     func(ctx context.Context) (aws.Config, error)              // for credentials that are kept there
	Set     func(variable, value string) string                        // the command that changes a setting

	// Hosts has the connections that tenants share; nil if there is one tenant.
	Hosts *Hosts

	// Foreign says that the credential belongs to a stack's functions, which alone may use it.
	Foreign bool

	// Ledger opens the ledger. The error is a *doctor.UnmadeError if there is none yet.
	Ledger func(ctx context.Context) (Ledger, error)
	// Linked says whether the app has requested links; nil if nobody else could have.
	Linked func(ctx context.Context, app *defender.App) (bool, error)
	// Lists counts the list call; nil if nobody else shares the budget.
	Lists func(ctx context.Context) (ratelimit.Counter, error)
}

// Ports returns the eyes of the checks.
func (t Tenant) Ports() doctor.TenantPorts {
	s, err := t.Parse(t.Environ)
	state := doctor.SettingsState{Tenant: s.TenantID, Cloud: string(s.Cloud)}
	if err != nil {
		state = t.wrong(err)
	}
	ports := doctor.TenantPorts{
		Now: t.Now, Settings: func() doctor.SettingsState { return state }, Set: t.Set,
	}
	if err != nil {
		return blind(ports, err)
	}
	roots, err := s.RootCAs()
	if err != nil { // checked with the settings
		return blind(ports, err)
	}
	net := network{transport: defender.Transport(roots), now: t.Now}
	if t.Hosts != nil {
		net = t.Hosts.of(s.CAPEM, net)
	}
	credential, err := tenantapp.Credential(context.Background(), s, t.AWS, t.Now)
	if err != nil {
		return blind(ports, err)
	}
	app := tenantapp.New(s, credential, net.transport, t.Now)
	ports.Authority, ports.API = net.look(s.AuthorityURL, variableAuthority), net.look(s.APIURL, variableAPI)
	ports.Links = net.links(s.LinkHosts)
	ports.Token, ports.Roles = t.foreign(token(app)), roles(app)
	ports.Credential = t.accepted(app, credential, entra.Application{
		TenantID: s.TenantID, ClientID: s.ClientID, AuthorityURL: s.AuthorityURL.String(), Scope: s.Scope,
	})
	ports.List = t.list(app, s)
	ports.Archived = t.archived(s.TenantID, app)
	ports.Refused, ports.Forbidden = t.refused(s), t.forbidden(s.TenantID)
	return ports
}

// wrong describes what is wrong with the settings.
func (t Tenant) wrong(err error) doctor.SettingsState {
	problems, ok := errors.AsType[*settings.Error](err)
	if !ok {
		return doctor.SettingsState{Problems: []string{err.Error()}}
	}
	state := doctor.SettingsState{Unset: true}
	for name := range t.Environ {
		if strings.HasPrefix(name, variablePrefix) && t.Environ[name] != "" {
			state.Unset = false
		}
	}
	for _, p := range problems.Problems {
		state.Problems = append(state.Problems, p.String())
	}
	return state
}

// blind fills in Looks that fail: without settings there is nothing to look at.
func blind(p doctor.TenantPorts, err error) doctor.TenantPorts {
	p.Authority, p.API, p.Links = unable[doctor.Answer](err), unable[doctor.Answer](err), unable[[]doctor.Answer](err)
	p.Token, p.Roles, p.List = unable[struct{}](err), unable[[]string](err), unable[int](err)
	p.Credential = unable[doctor.Credential](err)
	p.Archived, p.Refused = unable[time.Time](err), unable[doctor.RefusedLinks](err)
	p.Forbidden = unable[doctor.Forbidden](err)
	return p
}

func unable[T any](err error) doctor.Look[T] {
	return func(context.Context) (none T, _ error) { return none, err }
}

// token asks for a token. One without roles is for the check of roles to judge.
func token(app *defender.App) func(context.Context) error {
	return func(ctx context.Context) error {
		err := app.SignIn(ctx)
		if refusal, ok := errors.AsType[*entra.Error](err); ok && refusal.NoRoles() {
			return nil
		}
		return err
	}
}

func roles(app *defender.App) doctor.Look[[]string] {
	return once(func(ctx context.Context) ([]string, error) {
		roles, err := app.Roles(ctx)
		if refusal, ok := errors.AsType[*entra.Error](err); ok && refusal.NoRoles() {
			return nil, nil
		}
		return roles, refused(err)
	})
}

// refused translates what Entra ID and Defender refuse. Their texts have no secret in them.
func refused(err error) error {
	if refusal, ok := errors.AsType[*entra.Error](err); ok {
		return &doctor.RefusedError{Text: refusal.Message, Advice: refusal.Advice}
	}
	if answer, ok := errors.AsType[*mde.StatusError](err); ok {
		return &doctor.RefusedError{Text: answer.Error(), Advice: listAdvice(answer.Status)}
	}
	return err
}

// listAdvice says what to do about a refused list call.
func listAdvice(status int) string {
	switch {
	case status == 401 || status == 403:
		return "grant the application permission that the answer names (Machine.Read.All or Machine.ReadWrite.All of " +
			"WindowsDefenderATP), with admin consent; a new token takes up to an hour, and DEFENDER_SCOPE must be the API's"
	case status == 429:
		return "wait for a minute, and find out who else uses this app registration: they share its calls"
	case status >= 500:
		return "wait: Defender has a problem of its own; if it lasts, look at the service health page of Microsoft 365"
	default:
		return "check " + variableAPI + " and DEFENDER_CLOUD: this does not seem to be Defender's API"
	}
}

// list lists the tenant's actions of the last hour.
func (t Tenant) list(app *defender.App, s settings.Settings) doctor.Look[int] {
	return func(ctx context.Context) (int, error) {
		counter, err := t.Lists(ctx)
		if err != nil {
			return 0, err
		}
		client, err := app.Client(defender.Counters{Links: noLinks{}, Lists: counter}, rand.Text,
			slog.New(slog.DiscardHandler))
		if err != nil {
			return 0, err
		}
		n := 0
		at := investigation.Listing{Since: t.Now().Add(-s.Lookback)}
		_, err = client.List(ctx, at, func(actions []investigation.Action, _ []error) bool {
			n += len(actions)
			return false // one page is enough
		})
		return n, refused(err)
	}
}

// noLinks makes sure that no call for a link is made.
type noLinks struct{ ratelimit.Counter }

var errNoLinks = errors.New("packhorse doctor does not ask for links")

// Lease implements ratelimit.Counter.
func (noLinks) Lease(context.Context, ratelimit.Budget, string, time.Time) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errNoLinks
}
