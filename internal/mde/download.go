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
	// stallTimeout is how long a download may go without a byte, headers included. Total time is
	// the caller's to bound: a big package on a slow line is no failure.
	stallTimeout = time.Minute

	// packageBytesMax is far above any package seen and below what would fill a disk unnoticed.
	packageBytesMax = 64 << 30

	// redirectsMax bounds the redirects of one download; a storage front end uses one.
	redirectsMax = 5

	// headBytesMax is how much is looked at to tell a message from a package.
	headBytesMax = 4 << 10
)

var (
	errStalled = fmt.Errorf("no byte came for %v", stallTimeout)
	errClosed  = errors.New("the download is closed")
)

// Open starts the download. The request carries nothing but the link: no token, no cookie, no
// referrer. The caller MUST close the package's Body, and may do so more than once.
//
// Errors, and those of Body.Read, wrap investigation.ErrLinkExpired where the host says so in one
// of its ways; they never show the link. Body is taken up again where it broke off as long as the
// host vouches (by a strong ETag) that it is the same file. It ends in io.ErrUnexpectedEOF when
// the host declared more than came. ctx holds for the whole of the download.
//
// The package's Source is the request that the bytes answer, the last of the redirects; of a download
// that was taken up again, it is the first.
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
		_ = body.Close() // nobody will read it
		return investigation.Package{}, err
	}
	return investigation.Package{
		Body: readCloser{head, body}, Size: body.size, Source: answer.facts,
	}, nil
}

// readCloser hides all of the bufio.Reader but Read.
type readCloser struct {
	io.Reader
	io.Closer
}

// acceptWhole reports whether a successful answer can be a whole package, unpacked by nobody.
func acceptWhole(resp *http.Response) error {
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case resp.StatusCode == http.StatusPartialContent:
		return errors.New("the host answered with a part of the package, unasked")
	case resp.Uncompressed, encoding != "" && !strings.EqualFold(encoding, "identity"):
		return errors.New("the host answered with a content encoding, unasked")
	case resp.ContentLength > packageBytesMax:
		return fmt.Errorf("the package has %d bytes, more than %d",
			resp.ContentLength, int64(packageBytesMax))
	default:
		return nil
	}
}

// examine looks at the first bytes. A success without any, or with a message in place of a ZIP
// that says so, is how some hosts refuse a link that is too old (both were seen in the wild).
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
	message, _ := head.Peek(headBytesMax) // a reading error comes again when it is read
	if saysExpired(message) {
		return fmt.Errorf("%w: the answer is a message in place of a package: %s",
			investigation.ErrLinkExpired, clean(string(message), secrets...))
	}
	return nil
}

// saysExpired reports whether a message speaks of a link that is too old: Defender's own download
// service ("Expired token"), or an Azure storage account.
func saysExpired(message []byte) bool {
	lower := bytes.ToLower(message)
	return bytes.Contains(lower, []byte("expired token")) ||
		bytes.Contains(lower, []byte("authenticationfailed"))
}

// get requests the link and returns the answer if it is a success. It follows redirects, each of
// them only to an allowed host.
func (c *Client) get(ctx context.Context, link investigation.Link, header http.Header) (
	*exchange, error,
) {
	address, err := url.Parse(link.Reveal())
	if err != nil {
		return nil, errors.New("the link is no URL")
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
			return nil, errors.New("the host redirects to what is no URL")
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

// judge returns nil for a success. Otherwise it closes the answer and says what it means: every
// way of saying "not with this link" is an expired one, because only a new link can help.
func (c *Client) judge(answer *exchange) error {
	if successful(answer.resp.StatusCode) {
		return nil
	}
	defer answer.close()
	answer.resp.Body = io.NopCloser(answer) // under the watchdog's eye
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

// exchange is one request of a download and its answer, under a watchdog: it is cancelled when the
// host sends nothing for stallTimeout while somebody waits for it. A reader that takes its time
// (the archive is busy) is not the host's fault and stops the clock.
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
		return nil, errors.New("the link makes no request")
	}
	req.Header = header.Clone()
	// The archive keeps the bytes as they lie at the host; asking for identity also keeps Go's
	// transport from unpacking them.
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

// Read reads the answer's body, and fails if nothing comes for stallTimeout.
func (e *exchange) Read(p []byte) (int, error) {
	e.timer.Reset(stallTimeout)
	n, err := e.source.Read(p)
	e.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.explain(err)
	}
	return n, err
}

// explain replaces the "context canceled" of a request that was cut short by the reason for it.
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
	_ = e.source.Close() // what was wanted of it was read
}
