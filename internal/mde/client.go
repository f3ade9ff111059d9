// Package mde speaks to Microsoft Defender for Endpoint over HTTP: it lists the actions of a
// tenant, asks for the link of a package and opens the download.
//
// Give [New] a transport for each kind of call. The package counts nothing and authorises nothing:
// a transport that leases a slot of the budget and adds the bearer token is handed in, so that no
// path can skip either. A method sends one request per call (List one per page), follows no
// redirect of the API and repeats nothing; only a download is taken up again where it broke off,
// because that costs no budget.
//
// What Defender answers is foreign: bodies are bounded, fields are decoded leniently, and nothing
// of a link or a token reaches an error text. Errors that are not the package's fault (throttling,
// credential, network, a download host nobody allowed) wrap *investigation.PostponedError.
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
	// callTimeout bounds one API call, its wait for a token included. The budget's own deadline
	// for a sent request is shorter; this one holds whatever transport was given.
	callTimeout = 90 * time.Second

	// throttlePauseMin is the pause after a 429 that names none, or a shorter one: the window the
	// service counts in. throttlePauseMax is its longest documented window.
	throttlePauseMin = time.Minute
	throttlePauseMax = time.Hour

	// credentialPause is how long a credential or setting that was refused is given to be put
	// right by somebody before the same call is worth its cost again.
	credentialPause = 5 * time.Minute

	// unreachablePause is the pause after a connection that did not come about.
	unreachablePause = time.Minute

	// userAgent is how operators of proxies and of the service can tell who calls.
	userAgent = "packhorse"
)

// permissionHint follows every 401 and 403. Machine.ReadWrite.All is what Microsoft documents since
// 2025-11 for all the calls made here; until then Machine.Read.All was documented as enough.
const permissionHint = "the app registration needs the application permission Machine.Read.All" +
	" or, where that is refused, Machine.ReadWrite.All of WindowsDefenderATP, with admin consent;" +
	" and the token's audience must be the API's (DEFENDER_SCOPE)"

// Client is one tenant's Defender. It may be used by several goroutines at once.
type Client struct {
	base      *url.URL
	tenantID  string
	lister    http.RoundTripper
	linker    http.RoundTripper
	downloads http.RoundTripper
	hosts     hostlist.List
	now       func() time.Time
}

// New returns a Client of the API at base (https, without the "/api" path). The list and get calls
// go through lister and the getPackageUri calls through linker; both MUST add the bearer token.
// Downloads go through downloads, which MUST NOT add one.
//
// linkHosts says where links may lead, each entry an exact "host", or ".suffix" for every host
// below that name, on port 443 unless the entry ends in ":port". The error names every entry that
// cannot be used.
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
		err = errors.New("there are none, and no package could be downloaded")
	}
	if err != nil {
		return nil, fmt.Errorf("link hosts: %w", err)
	}
	return &Client{
		base: base.JoinPath("/"), tenantID: tenant,
		lister: lister, linker: linker, downloads: downloads, hosts: hosts, now: now,
	}, nil
}

// call sends one GET, passes the body of a 2xx answer to read, and returns the exchange. The connection
// is closed when call returns.
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
	// RoundTrip and not a Client: no redirect is followed, no cookie kept, no URL in its errors.
	resp, err := via.RoundTrip(req)
	if err != nil {
		return none, c.unanswered(ctx, withoutURL(err))
	}
	naming(resp, req)
	exchange := watch.exchange(resp)
	defer func() { _ = resp.Body.Close() }() // it was read as far as it is wanted
	if !successful(resp.StatusCode) {
		return none, c.refused(statusErrorOf(resp, c.now()))
	}
	err = read(resp.Body)
	if err != nil {
		return none, err
	}
	return exchange, nil
}

// naming makes an answer name its request, which a RoundTripper need not do. Where one adds the token, it
// names the request that has it.
func naming(resp *http.Response, req *http.Request) {
	if resp.Request == nil {
		resp.Request = req
	}
}

// refused says what an answer that is not a success means for the caller's timing.
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
				fmt.Errorf("%w; %s", e, permissionHint)),
		}
	default:
		return e
	}
}

// unanswered postpones what failed because no connection came about: that says nothing of the
// package, and must not use up its attempts however long the network is down.
func (c *Client) unanswered(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*investigation.PostponedError](err); ok {
		return err // the budget or the credential said when
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

// keepAtMost returns a reader of bodies for [Client.call]: it puts the whole body into kept. A longer body
// than bytesMax is an error.
func keepAtMost(kept *[]byte, bytesMax int64) func(io.Reader) error {
	return func(body io.Reader) error {
		all, err := io.ReadAll(io.LimitReader(body, bytesMax+1))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		if int64(len(all)) > bytesMax {
			return fmt.Errorf("the answer is longer than %d bytes", bytesMax)
		}
		*kept = all
		return nil
	}
}
