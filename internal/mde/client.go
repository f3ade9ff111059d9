// Package mde talks to Microsoft Defender for Endpoint over HTTP: it lists a tenant's actions,
// requests package links and opens downloads.
//
// Give [New] a transport for each kind of call. This package neither counts calls nor authenticates
// them: the transports lease a budget slot and add the bearer token, so no code path can skip
// either. A method sends one request per call (List sends one per page). It never follows an API
// redirect and never retries; only a broken download is resumed, because that costs no budget.
//
// Defender's responses are untrusted: bodies are bounded, fields are decoded leniently, and no part
// of a link or token reaches an error message. Errors that the package did not cause (throttling,
// credentials, network, a download host that is not on the allowlist) wrap
// *investigation.PostponedError.
package mde

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"packhorse/internal/hostlist"
	"packhorse/internal/investigation"
)

const (
	// callTimeout bounds one API call, including its wait for a token. The budget sets a shorter
	// deadline for a sent request; this one holds for any transport.
	callTimeout = 90 * time.Second

	// throttlePauseMin is the pause after a 429 without a Retry-After, or with a shorter one: it is
	// the service's shortest rate window. throttlePauseMax is the longest documented one.
	throttlePauseMin = time.Minute
	throttlePauseMax = time.Hour

	// credentialPause gives somebody time to fix a rejected credential or setting before the same call
	// is worth its cost again.
	credentialPause = 5 * time.Minute

	// unreachablePause is the pause after a failed connection attempt.
	unreachablePause = time.Minute

	// userAgent identifies the caller to operators of proxies and of the service.
	userAgent = "packhorse"
)

// permissionAdvice follows every 401 and 403. Since 2025-11 Microsoft documents Machine.ReadWrite.All
// for every call made here; before that, Machine.Read.All was documented as enough.
const permissionAdvice = "the app registration needs the application permission Machine.Read.All" +
	" or, if that is refused, Machine.ReadWrite.All of WindowsDefenderATP, with admin consent;" +
	" and the token's audience must be the API's (DEFENDER_SCOPE)"

// Client calls Defender for one tenant. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	tenantID  string
	lister    http.RoundTripper
	linker    http.RoundTripper
	downloads http.RoundTripper
	hosts     hostlist.List
	now       func() time.Time
}

// New returns a Client for the API at base (https, without the "/api" path). It sends list and get
// calls through lister and getPackageUri calls through linker; both MUST add the bearer token.
// Downloads go through the transport downloads, which MUST NOT add one.
//
// linkHosts lists the hosts that links may point to. Each entry is an exact "host" or a ".suffix"
// that covers every host below it, on port 443 unless the entry ends in ":port". The error names
// every invalid entry.
func New(base *url.URL, tenantID string, lister, linker, downloads http.RoundTripper,
	linkHosts []string, now func() time.Time,
) (*Client, error) {
	tenant, err := investigation.CanonicalID(tenantID)
	if err != nil {
		return nil, fmt.Errorf("tenant id: %w", err)
	}
	if base.Scheme != "https" || base.Host == "" || base.User != nil || base.RawQuery != "" {
		return nil, fmt.Errorf("API address: %q is not a plain https address", base.Redacted())
	}
	hosts, err := hostlist.Parse(linkHosts)
	if err == nil && len(hosts) == 0 {
		err = errors.New("the list is empty, so no package could be downloaded")
	}
	if err != nil {
		return nil, fmt.Errorf("link hosts: %w", err)
	}
	return &Client{
		base: base.JoinPath("/"), tenantID: tenant,
		lister: lister, linker: linker, downloads: downloads, hosts: hosts, now: now,
	}, nil
}

// call sends one GET, passes the body of a 2xx response to read, and returns the exchange. It
// closes the connection before it returns.
func (c *Client) call(ctx context.Context, via http.RoundTripper, target *url.URL,
	read func(body io.Reader) error,
) (investigation.Exchange, error) {
	none := investigation.Exchange{}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	observed, watch := c.observe(ctx, target.Host)
	req, err := http.NewRequestWithContext(observed, http.MethodGet, target.String(), nil)
	if err != nil {
		return none, fmt.Errorf("make the request: %w", withoutURL(err))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	// RoundTrip instead of a Client: it follows no redirects, keeps no cookies and puts no URL into
	// errors.
	resp, err := via.RoundTrip(req)
	if err != nil {
		return none, c.unanswered(ctx, withoutURL(err))
	}
	naming(resp, req)
	exchange := watch.exchange(resp)
	defer func() { _ = resp.Body.Close() }() // everything needed was read
	if !successful(resp.StatusCode) {
		return none, c.refused(statusErrorOf(resp, c.now()))
	}
	err = read(resp.Body)
	if err != nil {
		return none, err
	}
	return exchange, nil
}

// naming sets the response's request if the RoundTripper did not. A transport that adds the token
// sets it to the request that carries the token.
func naming(resp *http.Response, req *http.Request) {
	if resp.Request == nil {
		resp.Request = req
	}
}

// refused turns an unsuccessful response into an error that says when to call again.
func (c *Client) refused(e *StatusError) error {
	switch e.Status {
	case http.StatusTooManyRequests:
		pause := min(max(e.RetryAfter, throttlePauseMin), throttlePauseMax)
		return &investigation.PostponedError{
			RetryAt: c.now().Add(pause),
			Err:     investigation.Because(investigation.CauseThrottled, e),
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &investigation.PostponedError{
			RetryAt: c.now().Add(credentialPause),
			Err: investigation.Because(investigation.CauseForbidden,
				fmt.Errorf("%w; %s", e, permissionAdvice)),
		}
	default:
		return e
	}
}

// unanswered postpones failures to connect: they say nothing about the package, so even a long
// outage must not use up its attempts.
func (c *Client) unanswered(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*investigation.PostponedError](err); ok {
		return err // the budget or the credential set the time
	}
	if ctx.Err() == nil && neverConnected(err) {
		return &investigation.PostponedError{
			RetryAt: c.now().Add(unreachablePause),
			Err:     investigation.Because(investigation.CauseNetwork, err),
		}
	}
	return err
}

func successful(status int) bool { return status >= 200 && status <= 299 }

// keepAtMost returns a read function for [Client.call] that stores the whole body in kept. It
// rejects a body longer than bytesMax.
func keepAtMost(kept *[]byte, bytesMax int64) func(io.Reader) error {
	return func(body io.Reader) error {
		all, err := io.ReadAll(io.LimitReader(body, bytesMax+1))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if int64(len(all)) > bytesMax {
			return fmt.Errorf("the answer is longer than the limit of %d bytes", bytesMax)
		}
		*kept = all
		return nil
	}
}
