// Package entra gets access tokens from Microsoft Entra ID for an application, and adds them to requests
// to one API.
//
// A [TokenSource] gets and keeps the tokens, a [Credential] proves who asks for them, and a [Transport]
// adds them to requests. azidentity implements the protocol. This package reads the credential only when
// a token is needed, explains how to fix a refusal, and detects a token without permissions before the
// API answers 403 to it.
//
// Every failure wraps *investigation.PostponedError, because the package being fetched is not at fault.
// Errors never show a secret, an assertion, a key or a token.
package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"packhorse/internal/investigation"
)

const (
	// renewBefore is how long before its expiry a token is replaced (it lives about an hour). A token
	// that lives less than twice this is replaced halfway.
	renewBefore = 5 * time.Minute

	// spare is how long a token must still be valid to be used when it cannot be replaced.
	spare = time.Minute

	// tokenTimeout bounds getting a token, retries included: callers wait for it before they lease a
	// slot. tryTimeout bounds a single request.
	tokenTimeout = 30 * time.Second
	tryTimeout   = 10 * time.Second

	// retriesMax is how often a request is retried if Entra ID is unavailable. The first retry waits
	// retryDelay, later ones longer, up to retryDelayMax.
	retriesMax    = 2
	retryDelay    = 500 * time.Millisecond
	retryDelayMax = 5 * time.Second

	// refusedPause gives somebody time to fix a refused credential. unreachablePause follows a failure
	// to reach the authority, which needs nobody.
	refusedPause     = 5 * time.Minute
	unreachablePause = time.Minute
	learningPause    = 2 * time.Minute // for a federated credential to be known

	// failureMemory is how long callers get the last failure without a new request: a hundred packages
	// that wait for a token must not cause a hundred failed sign-ins a minute.
	failureMemory = 30 * time.Second

	// learning is how long Entra ID may take to learn of a new federated credential. Source: Microsoft's
	// considerations for federated identity credentials.
	learning = 10 * time.Minute

	// rejectedAge is how old a rejected token must be before it is dropped: a replacement for a newer
	// one would be rejected too.
	rejectedAge = time.Minute
)

// Application says who requests tokens, from where, and for which API.
type Application struct {
	TenantID     string
	ClientID     string
	AuthorityURL string // such as https://login.microsoftonline.com
	Scope        string // such as https://api.securitycenter.microsoft.com/.default
}

// TokenSource gets tokens for one application. It is safe for concurrent use; callers that need a
// token at the same time share one request.
type TokenSource struct {
	application Application
	credential  Credential
	base        http.RoundTripper
	now         func() time.Time

	// turn holds an element while a caller uses the fields below, including during a token request. It
	// is a mutex that a caller can stop waiting for when its context ends.
	turn      chan struct{}
	token     string
	issuedAt  time.Time
	expiresAt time.Time
	failure   error // of the last request; nil after a success
	failedAt  time.Time

	standing atomic.Pointer[Standing] // nil before the first token

	unknownSince time.Time // the first of the refusals in a row because the federated credential is unknown
}

// NewTokenSource returns a TokenSource without a token. It asks for the credential's proofs for every
// token request, about once an hour, and again if Entra ID refuses them, since the credential may have
// been replaced. Requests go through base, which MUST trust the authority's certificate.
func NewTokenSource(application Application, credential Credential,
	base http.RoundTripper, now func() time.Time,
) *TokenSource {
	return &TokenSource{
		application: application, credential: credential, base: base, now: now,
		turn: make(chan struct{}, 1),
	}
}

// Token returns an access token that is valid for at least another minute. Errors wrap
// *investigation.PostponedError unless ctx ended, and *[Error] if a person can fix the cause.
func (s *TokenSource) Token(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", fmt.Errorf("wait for a token from Entra ID: %w", context.Cause(ctx))
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
	return s.token, nil // the new token, or the old one while it is valid
}

// Roles returns the application roles in the token, sorted. Errors are those of [TokenSource.Token], and [ErrNoJWT].
func (s *TokenSource) Roles(ctx context.Context) ([]string, error) {
	token, err := s.Token(ctx)
	if err != nil {
		return nil, err
	}
	roles, ok := rolesIn(token)
	if !ok {
		return nil, ErrNoJWT
	}
	slices.Sort(roles)
	return roles, nil
}

// ErrNoJWT says that a token does not show its roles. The API may accept it nevertheless.
var ErrNoJWT = errors.New("the token is not a JWT, so it does not show its roles")

// renewAt returns when to replace the token.
func (s *TokenSource) renewAt() time.Time {
	return s.expiresAt.Add(-min(renewBefore, s.expiresAt.Sub(s.issuedAt)/2))
}

// renew replaces the token. The caller has the turn.
func (s *TokenSource) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := s.request(ctx)
	if err != nil {
		err = s.patient(err)
		pause, cause := unreachablePause, investigation.CauseCredential
		if failed, ok := errors.AsType[*Error](err); ok && failed.passing {
			cause = investigation.CauseNetwork
			if failed.Code == codeFederationUnknown {
				pause = learningPause
			}
		} else if ok {
			pause = refusedPause
			if failed.NoConsent() {
				cause = investigation.CauseConsent
			}
		}
		return &investigation.PostponedError{
			RetryAt: s.now().Add(pause),
			Err:     investigation.Because(cause, fmt.Errorf("get a token from Entra ID: %w", err)),
		}
	}
	s.token, s.issuedAt, s.expiresAt, s.unknownSince = token.Token, s.now(), token.ExpiresOn, time.Time{}
	return nil
}

// patient makes a refusal passing while Entra ID may not have learned of a new federated credential yet,
// which takes some minutes.
func (s *TokenSource) patient(err error) error {
	failed, ok := errors.AsType[*Error](err)
	switch {
	case !ok || failed.Code != codeFederationUnknown:
		s.unknownSince = time.Time{}
		return err
	case s.unknownSince.IsZero():
		s.unknownSince = s.now()
	case s.now().Sub(s.unknownSince) >= learning:
		return err
	}
	waiting := *failed
	waiting.passing = true
	return &waiting
}

// request asks Entra ID for a token with each proof in turn, until one is accepted. If all are refused, it
// reads the credential once more, past every cache, and tries the proofs that are new. It reports the
// refusal of the preferred proof: that is the fault to fix.
func (s *TokenSource) request(ctx context.Context) (azcore.AccessToken, error) {
	var refusal error
	tried := map[string]bool{}
	for _, again := range []bool{false, true} {
		proofs, err := s.credential.Proofs(ctx, s.application, again)
		switch {
		case err != nil && refusal != nil:
			return azcore.AccessToken{}, refusal
		case err != nil:
			return azcore.AccessToken{}, fmt.Errorf("read the %s: %w", s.credential.Kind(), err)
		}
		for _, proof := range proofs {
			if tried[proof.id] {
				continue
			}
			tried[proof.id] = true
			token, err := s.requestWith(ctx, proof)
			failed, ok := errors.AsType[*Error](err)
			if err == nil || ok && failed.noRoles {
				s.standing.Store(&Standing{Kind: s.credential.Kind(), Name: proof.Name, Expires: proof.Expires})
			}
			if !ok || !failed.ofCredential() {
				return token, err
			}
			if refusal == nil {
				refusal = err
			}
		}
	}
	return azcore.AccessToken{}, refusal
}

// requestWith asks Entra ID. It makes a new azidentity credential for each request: azidentity caches
// tokens per credential and could return a token that has since been rejected.
func (s *TokenSource) requestWith(ctx context.Context, proof Proof) (azcore.AccessToken, error) {
	wire := &wire{base: s.base}
	identity, err := proof.identity(s.application, s.options(wire))
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("prepare the credential: %s", clean(err.Error(), proof.hidden...))
	}
	token, err := identity.GetToken(ctx, policy.TokenRequestOptions{
		Scopes: []string{s.application.Scope},
	})
	if err != nil {
		return azcore.AccessToken{}, explain(ctx, err, wire.failure, proof)
	}
	return token, checkRoles(token.Token)
}

// options are azidentity's options for a request through via.
func (s *TokenSource) options(via policy.Transporter) azcore.ClientOptions {
	return azcore.ClientOptions{
		Cloud: cloud.Configuration{
			ActiveDirectoryAuthorityHost: s.application.AuthorityURL,
		},
		Transport: via,
		Retry: policy.RetryOptions{
			MaxRetries: retriesMax, TryTimeout: tryTimeout,
			RetryDelay: retryDelay, MaxRetryDelay: retryDelayMax,
			ShouldRetry: worthRetrying,
		},
	}
}

// isMicrosoft reports whether the authority belongs to one of the Microsoft clouds that Packhorse
// knows.
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

// reject drops the token if it is the current one and not brand-new. The API refused it, and a
// newly granted permission or a replaced credential only takes effect with a new token.
func (s *TokenSource) reject(token string) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	default:
		return // another caller is renewing the token
	}
	if s.token == token && !s.now().Before(s.issuedAt.Add(rejectedAge)) {
		s.token, s.expiresAt = "", time.Time{}
	}
}
