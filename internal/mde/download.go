package mde

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

const (
	// stallTimeout is how long a download may go without receiving a byte, including the wait for
	// headers. The caller bounds the total time: a big package on a slow line is not a failure.
	stallTimeout = time.Minute

	// packageBytesMax is far above any package seen, and low enough not to fill a disk unnoticed.
	packageBytesMax = 64 << 30

	// redirectsMax bounds the redirects per download; a storage front end uses one.
	redirectsMax = 5

	// headBytesMax is how many bytes are examined to tell a message from a package.
	headBytesMax = 4 << 10
)

var (
	errStalled = fmt.Errorf("received nothing for %v", stallTimeout)
	errClosed  = errors.New("the download is closed")
)

// Open starts the download. The request carries only the link: no token, no cookie, no referrer.
// The caller MUST close the package's Body, and may do so more than once.
//
// Errors from Open and from Body.Read never show the link. They wrap investigation.ErrLinkExpired
// if the host reports expiry in any of its known ways. Body resumes a broken download if the host
// confirms with a strong ETag that the file is unchanged. It ends in io.ErrUnexpectedEOF if the
// host declared more bytes than it sent. ctx covers the whole download.
//
// The package's Source describes the request that returned the bytes, after any redirects. A
// resumed download keeps the Source of its first request.
func (c *Client) Open(ctx context.Context, link investigation.Link) (investigation.Package, error) {
	pkg, err := c.open(ctx, link)
	if err != nil {
		return investigation.Package{}, fmt.Errorf("open the download: %w", err)
	}
	return pkg, nil
}

func (c *Client) open(ctx context.Context, link investigation.Link) (investigation.Package, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	answer, err := c.get(ctx, link, http.Header{})
	if err != nil {
		cancel(nil)
		return investigation.Package{}, err
	}
	err = acceptWhole(answer.resp)
	if err != nil {
		answer.close()
		cancel(nil)
		return investigation.Package{}, err
	}
	body := newBody(ctx, cancel, c, link, answer)
	head := bufio.NewReaderSize(body, headBytesMax)
	err = examine(head, answer.secrets)
	if err != nil {
		_ = body.Close() // discarded: nothing will read it
		return investigation.Package{}, err
	}
	return investigation.Package{
		Body: readCloser{head, body}, Size: body.size, Source: answer.facts,
	}, nil
}

// readCloser exposes only Read of the bufio.Reader.
type readCloser struct {
	io.Reader
	io.Closer
}

// acceptWhole checks that a successful response can be a whole package, exactly as stored.
func acceptWhole(resp *http.Response) error {
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode == http.StatusPartialContent:
		return errors.New("the host returned a partial package that was not requested")
	case resp.Uncompressed, encoding != "" && !strings.EqualFold(encoding, "identity"):
		return errors.New("the host used a content encoding that was not requested")
	case resp.ContentLength > packageBytesMax:
		return fmt.Errorf("the package has %d bytes, more than %d",
			resp.ContentLength, int64(packageBytesMax))
	default:
		return nil
	}
}

// examine looks at the first bytes. Some hosts refuse an expired link with status 200 and an empty
// body, or with an error message instead of a ZIP; both were seen in the wild.
func examine(head *bufio.Reader, secrets []string) error {
	first, err := head.Peek(2)
	if len(first) == 0 {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: the answer is empty", investigation.ErrLinkExpired)
		}
		return err
	}
	if string(first) == "PK" {
		return nil
	}
	message, _ := head.Peek(headBytesMax) // the next Read returns the same error
	if saysExpired(message) {
		return fmt.Errorf("%w: the answer is a message instead of a package: %s",
			investigation.ErrLinkExpired, clean(string(message), secrets...))
	}
	return nil
}

// saysExpired reports whether a message is a known expiry notice: that of Defender's own download
// service ("Expired token") or of an Azure storage account.
func saysExpired(message []byte) bool {
	lower := bytes.ToLower(message)
	return bytes.Contains(lower, []byte("expired token")) ||
		bytes.Contains(lower, []byte("authenticationfailed"))
}

// get requests the link and returns a successful response. It follows redirects, but only to
// allowed hosts.
func (c *Client) get(ctx context.Context, link investigation.Link, header http.Header) (
	*exchange, error,
) {
	address, err := url.Parse(link.Reveal())
	if err != nil {
		return nil, errors.New("the link is not a valid URL")
	}
	for range redirectsMax + 1 {
		err := c.admit(address)
		if err != nil {
			return nil, err
		}
		answer, err := c.exchange(ctx, address, header)
		if err != nil {
			return nil, c.unanswered(ctx, err)
		}
		location := answer.resp.Header.Get("Location")
		if !redirects(answer.resp.StatusCode) || location == "" {
			return answer, c.judge(answer)
		}
		answer.close()
		address, err = address.Parse(location)
		if err != nil {
			return nil, errors.New("the host redirects to an invalid URL")
		}
	}
	return nil, fmt.Errorf("the host redirects more than %d times", redirectsMax)
}

func redirects(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	default:
		return false
	}
}

// judge returns nil for a success. Otherwise it closes the response and returns its error. Any
// status that rejects this link counts as expired, because only a new link can help.
func (c *Client) judge(answer *exchange) error {
	if successful(answer.resp.StatusCode) {
		return nil
	}
	defer answer.close()
	answer.resp.Body = io.NopCloser(answer) // reads through the watchdog
	failure := statusErrorOf(answer.resp, c.now())
	switch failure.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %w", investigation.ErrLinkExpired, failure)
	case http.StatusTooManyRequests:
		return c.refused(failure)
	}
	if saysExpired([]byte(failure.Code + " " + failure.Message)) {
		return fmt.Errorf("%w: %w", investigation.ErrLinkExpired, failure)
	}
	return failure
}

// exchange is one request of a download and its response, with a watchdog that cancels it if the
// host sends nothing for stallTimeout while a Read waits. A slow reader (the archive is busy) is
// not the host's fault, so the clock stops between reads.
type exchange struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	resp   *http.Response
	source io.ReadCloser // the answer's body
	facts  investigation.Exchange

	secrets []string // the link
}

func (c *Client) exchange(ctx context.Context, address *url.URL, header http.Header) (
	*exchange, error,
) {
	ctx, cancel := context.WithCancelCause(ctx)
	observed, watch := c.observe(ctx, address.Host)
	req, err := http.NewRequestWithContext(observed, http.MethodGet, address.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, errors.New("the link is not usable in a request")
	}
	req.Header = header.Clone()
	// The archive stores the bytes exactly as the host has them. Asking for identity also keeps Go's
	// transport from decompressing them.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", userAgent)
	e := &exchange{ctx: ctx, cancel: cancel, secrets: secretsIn(req)}
	e.timer = time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	resp, err := c.downloads.RoundTrip(req) //nolint:bodyclose // exchange.close does
	e.timer.Stop()
	if err != nil {
		err = e.explain(err)
		cancel(nil)
		return nil, err
	}
	naming(resp, req)
	e.resp, e.source, e.facts = resp, resp.Body, watch.exchange(resp)
	return e, nil
}

// Read reads the response body and fails if nothing arrives for stallTimeout.
func (e *exchange) Read(p []byte) (int, error) {
	e.timer.Reset(stallTimeout)
	n, err := e.source.Read(p)
	e.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.explain(err)
	}
	return n, err
}

// explain replaces "context canceled" with the reason for the cancellation.
func (e *exchange) explain(err error) error {
	if cause := context.Cause(e.ctx); cause != nil {
		return cause
	}
	return without(e.secrets, withoutURL(err))
}

// close ends the exchange. It may be called more than once.
func (e *exchange) close() {
	e.timer.Stop()
	e.cancel(errClosed)
	_ = e.source.Close() // everything needed was read
}
