// Package entra gets access tokens from Microsoft Entra ID for an application with a client secret,
// and puts them on requests to one API.
//
// A [TokenSource] has the tokens, a [Transport] puts them on requests. The protocol is azidentity's.
// What is added: the secret is read when a token is needed and not before, a refusal says what to
// mend, and a token that grants nothing is found out before the API answers 403 to it.
//
// Every failure wraps *investigation.PostponedError: it is not the package's. None shows a secret
// or a token.
package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"packhorse/internal/investigation"
)

const (
	// renewBefore is how long before its end a token is replaced (it lives about an hour), or half
	// of its life where that is shorter.
	renewBefore = 5 * time.Minute

	// spare is how long a token must still live to be used when it cannot be replaced.
	spare = time.Minute

	// tokenTimeout bounds everything it takes to get a token, repeats included: callers wait for it
	// before they lease a slot. tryTimeout bounds one request of it.
	tokenTimeout = 30 * time.Second
	tryTimeout   = 10 * time.Second

	// retriesMax is how often one request is repeated where Entra ID is unavailable, after
	// retryDelay and, longer each time, at most retryDelayMax.
	retriesMax    = 2
	retryDelay    = 500 * time.Millisecond
	retryDelayMax = 5 * time.Second

	// refusedPause is how long a refused credential is given to be mended by somebody, and
	// unreachablePause an authority that could not be reached, which mends itself.
	refusedPause     = 5 * time.Minute
	unreachablePause = time.Minute

	// failureMemory is how long every caller is given the last failure without asking again: a
	// hundred packages that wait for a token are not to be a hundred bad sign-ins a minute.
	failureMemory = 30 * time.Second

	// rejectedAge is how old a token must be for a rejection to count: a new one would be as bad.
	rejectedAge = time.Minute
)

// Application is who asks for tokens, where, and for what.
type Application struct {
	TenantID     string
	ClientID     string
	AuthorityURL string // such as https://login.microsoftonline.com
	Scope        string // such as https://api.securitycenter.microsoft.com/.default
}

// TokenSource is an application's way to tokens. It is safe for concurrent use; callers that need
// a token at the same time share one request.
type TokenSource struct {
	application Application
	secret      Secret
	base        http.RoundTripper
	now         func() time.Time

	// turn holds an element while one caller uses what follows, a request for a token included. It
	// is a mutex that a caller whose context ends can stop waiting for.
	turn      chan struct{}
	token     string
	issuedAt  time.Time
	expiresAt time.Time
	failure   error // the last request's, nil after a success
	failedAt  time.Time
}

// Secret returns the client secret. refused is the one Entra ID has just not taken, so that it is
// not to come from a cache, or "".
type Secret func(ctx context.Context, refused string) (string, error)

// NewTokenSource returns a TokenSource without a token. secret is called for every request of a
// token, about once an hour, and once more where Entra ID does not take it, since it may have been
// rotated. Requests go through base, which MUST trust the authority's certificate.
func NewTokenSource(application Application, secret Secret,
	base http.RoundTripper, now func() time.Time,
) *TokenSource {
	return &TokenSource{
		application: application, secret: secret, base: base, now: now,
		turn: make(chan struct{}, 1),
	}
}

// Token returns an access token that is good for a minute at least. Errors wrap
// *investigation.PostponedError unless it was ctx that ended, and *[Error] where there is something
// to mend.
func (s *TokenSource) Token(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("wait for a token of Entra ID: %w", context.Cause(ctx))
	}
	now := s.now()
	if s.token != "" && now.Before(s.renewAt()) {
		return s.token, nil
	}
	if s.failure == nil || !now.Before(s.failedAt.Add(failureMemory)) {
		err := s.renew(ctx)
		if ctx.Err() != nil && err != nil {
			return "", fmt.Errorf("get a token from Entra ID: %w", context.Cause(ctx))
		}
		s.failure, s.failedAt = err, s.now()
	}
	if s.failure != nil && s.now().After(s.expiresAt.Add(-spare)) {
		return "", s.failure
	}
	return s.token, nil // the new one, or the old one while it lasts
}

// renewAt is when the token is to be replaced.
func (s *TokenSource) renewAt() time.Time {
	return s.expiresAt.Add(-min(renewBefore, s.expiresAt.Sub(s.issuedAt)/2))
}

// renew replaces the token. The caller has the turn.
func (s *TokenSource) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := s.request(ctx)
	if err != nil {
		pause, cause := unreachablePause, investigation.CauseCredential
		if failed, ok := errors.AsType[*Error](err); ok && failed.passing {
			cause = investigation.CauseNetwork
		} else if ok {
			pause = refusedPause
		}
		return &investigation.PostponedError{
			RetryAt: s.now().Add(pause),
			Err:     investigation.Because(cause, fmt.Errorf("get a token from Entra ID: %w", err)),
		}
	}
	s.token, s.issuedAt, s.expiresAt = token.Token, s.now(), token.ExpiresOn
	return nil
}

// request asks Entra ID, and once more where the secret was not taken and there is another by now.
func (s *TokenSource) request(ctx context.Context) (azcore.AccessToken, error) {
	secret, err := s.readSecret(ctx, "")
	if err != nil {
		return azcore.AccessToken{}, err
	}
	token, err := s.requestWith(ctx, secret)
	refusal, ok := errors.AsType[*Error](err)
	if !ok || !refusal.ofSecret() {
		return token, err
	}
	current, readErr := s.readSecret(ctx, secret)
	if readErr != nil || current == secret {
		return token, err // the refusal is what there is to mend
	}
	return s.requestWith(ctx, current)
}

func (s *TokenSource) readSecret(ctx context.Context, refused string) (string, error) {
	secret, err := s.secret(ctx, refused)
	if err != nil {
		return "", fmt.Errorf("read the client secret: %w", err)
	}
	secret = strings.TrimSpace(secret) // a secret has no blanks; the file it was kept in has
	if secret == "" {
		return "", errNoSecret()
	}
	return secret, nil
}

// requestWith asks Entra ID. Each request makes a credential of its own: azidentity keeps the tokens of
// one it has used, and would answer with a token that was rejected meanwhile.
func (s *TokenSource) requestWith(ctx context.Context, secret string) (azcore.AccessToken, error) {
	wire := &wire{base: s.base}
	identity, err := s.identity(secret, wire)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("prepare the credential: %w", err)
	}
	token, err := identity.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{s.application.Scope},
	})
	if err != nil {
		return azcore.AccessToken{}, explain(ctx, err, wire.failure, secret)
	}
	return token, checkRoles(token.Token)
}

func (s *TokenSource) identity(secret string, via policy.Transporter) (
	*azidentity.ClientSecretCredential, error,
) {
	return azidentity.NewClientSecretCredential(
		s.application.TenantID, s.application.ClientID, secret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: azcore.ClientOptions{
				Cloud: cloud.Configuration{
					ActiveDirectoryAuthorityHost: s.application.AuthorityURL,
				},
				Transport: via,
				Retry: policy.RetryOptions{
					MaxRetries: retriesMax, TryTimeout: tryTimeout,
					RetryDelay: retryDelay, MaxRetryDelay: retryDelayMax,
					ShouldRetry: worthRetrying,
				},
			},
			// Otherwise a Microsoft host is asked whether another authority is genuine, which the
			// simulator's is not, and which cannot be reached where only the authority can.
			DisableInstanceDiscovery: !isMicrosoft(s.application.AuthorityURL),
		})
}

// isMicrosoft reports whether the authority is one of Microsoft's for the clouds Packhorse knows.
func isMicrosoft(authority string) bool {
	u, err := url.Parse(authority)
	if err != nil {
		return false
	}
	switch strings.ToLower(u.Host) {
	case "login.microsoftonline.com", "login.microsoftonline.us":
		return true
	default:
		return false
	}
}

// reject drops the token if it is the present one and not brand-new: the API refused it, and a
// permission granted meanwhile, or a credential replaced, only shows in a new token.
func (s *TokenSource) reject(token string) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return // somebody gets a new one right now
	}
	if s.token == token && !s.now().Before(s.issuedAt.Add(rejectedAge)) {
		s.token, s.expiresAt = "", time.Time{}
	}
}
