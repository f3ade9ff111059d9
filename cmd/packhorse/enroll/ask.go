package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"packhorse/internal/defender"
	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/ratelimit"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
	"packhorse/internal/tenantapp"
)

// Answer is what Entra ID and Defender said.
type Answer struct {
	Asked   bool
	Proof   string   // what Entra ID accepted
	Roles   []string // of the token
	Actions int      // on the first page of the listing
}

// MissingError reports what is missing before a tenant can be served.
type MissingError struct {
	TenantID string
	Step     string // what failed
	Err      error  // shows no secret
	Consent  string // the link that an administrator of the tenant has to open; empty if that would not help
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("tenant %s: %s: %s", e.TenantID, e.Step, settings.WithFields(e.Err.Error(), "--"))
}

// Unwrap returns the cause, unless it is a refusal by Entra ID: its text says what to do, and the advice here says
// what comes after that.
func (e *MissingError) Unwrap() error {
	if refusal, ok := errors.AsType[*entra.Error](e.Err); ok && !refusal.Passing() {
		return nil
	}
	return e.Err
}

// Advice says what to do next.
func (e *MissingError) Advice() string {
	const again = "then try again, or skip the check with --no-check"
	if e.Consent == "" {
		return "fix that, " + again
	}
	return "if consent is missing, an administrator of the tenant opens this link: " + e.Consent + " - " + again
}

// ConsentLink returns the link that an administrator of the tenant opens to consent to the app.
func ConsentLink(s settings.Settings, redirect string) string {
	query := url.Values{"client_id": {s.ClientID}}
	if redirect != "" {
		query.Set("redirect_uri", redirect)
	}
	link := *s.AuthorityURL
	link.Path, link.RawQuery = "/"+s.TenantID+"/adminconsent", query.Encode()
	return link.String()
}

// Ask asks Entra ID for a token of the tenant's app, and Defender for the tenant's actions. The error is a
// *[MissingError].
func (p *Place) Ask(ctx context.Context, t tenant.Tenant, now time.Time) (Answer, error) {
	s, err := p.Base.Of(t)
	if err != nil {
		return Answer{}, err
	}
	return p.ask(ctx, s, now)
}

func (p *Place) ask(ctx context.Context, s settings.Settings, now time.Time) (Answer, error) {
	missing := func(step string, err error) (Answer, error) {
		e := &MissingError{TenantID: s.TenantID, Step: step, Err: err}
		if consentHelps(err) {
			e.Consent = ConsentLink(s, "")
		}
		return Answer{}, e
	}
	app, err := p.app(ctx, s)
	if err != nil {
		return missing("its credential cannot be read", err)
	}
	answer := Answer{Asked: true}
	answer.Roles, err = app.Roles(ctx)
	if err != nil {
		return missing("its app gets no token that is good for anything", reason(err))
	}
	answer.Proof = app.Standing().Name
	client, err := app.Client(defender.Counters{Links: noLinks{}, Lists: ratelimit.NewMemory()}, rand.Text,
		slog.New(slog.DiscardHandler))
	if err != nil {
		return Answer{}, err
	}
	at := investigation.Listing{Since: now.Add(-s.Lookback)}
	_, err = client.List(ctx, at, func(actions []investigation.Action, _ []error) bool {
		answer.Actions += len(actions)
		return false // one page is enough
	})
	if err != nil {
		return missing("Defender refuses to list its actions", reason(err))
	}
	return answer, nil
}

// app returns the tenant's app.
func (p *Place) app(ctx context.Context, s settings.Settings) (*defender.App, error) {
	roots, err := s.RootCAs()
	if err != nil {
		return nil, err
	}
	credential, err := tenantapp.Credential(ctx, s, p.aws, time.Now)
	if err != nil {
		return nil, err
	}
	return tenantapp.New(s, credential, defender.Transport(roots), time.Now), nil
}

// reason returns the refusal inside an error, without the plan when to try again.
func reason(err error) error {
	if refusal, ok := errors.AsType[*entra.Error](err); ok {
		return refusal
	}
	if answer, ok := errors.AsType[*mde.StatusError](err); ok {
		return answer
	}
	return err
}

func consentHelps(err error) bool {
	if refusal, ok := errors.AsType[*entra.Error](err); ok {
		return refusal.NoConsent()
	}
	answer, ok := errors.AsType[*mde.StatusError](err)
	return ok && (answer.Status == 401 || answer.Status == 403)
}

// noLinks makes sure that no call for a package link is made.
type noLinks struct{ ratelimit.Counter }

var errNoLinks = errors.New("packhorse tenant does not ask for links")

// Lease implements ratelimit.Counter.
func (noLinks) Lease(context.Context, ratelimit.Budget, string, time.Time) (ratelimit.Decision, error) {
	return ratelimit.Decision{}, errNoLinks
}

// Text says it in a few lines.
func (a Answer) Text() string {
	if !a.Asked {
		return "not checked"
	}
	return fmt.Sprintf("signed in with %s; roles: %s; %d actions on the first page", a.Proof,
		strings.Join(a.Roles, ", "), a.Actions)
}
