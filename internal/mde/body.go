package mde

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/pause"
)

const (
	// resumesMax is how many times a broken download is resumed. A resume costs no budget, whereas a
	// new link does; if the connection breaks more often than this, the caller decides.
	resumesMax = 3

	// resumePause precedes the first resume and doubles each time: restarting hosts and flapping lines
	// need a few seconds.
	resumePause = time.Second
)

// body reads a download and resumes it when the connection breaks. Only one goroutine may call
// Read; Close may be called from another.
type body struct {
	client *Client
	ctx    context.Context // covers the whole download
	cancel context.CancelCauseFunc
	link   investigation.Link
	size   int64  // declared, or investigation.SizeUnknown
	etag   string // strong; if empty, the download cannot be resumed

	offset  int64 // bytes returned to the reader
	resumes int
	broken  error // why the current response ended early
	end     error // the final result: io.EOF or a permanent error

	mu     sync.Mutex // guards answer
	answer *exchange
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, c *Client,
	link investigation.Link, answer *exchange,
) *body {
	b := &body{
		client: c, ctx: ctx, cancel: cancel, link: link, answer: answer,
		size: investigation.SizeUnknown,
	}
	if answer.resp.ContentLength >= 0 {
		b.size = answer.resp.ContentLength
	}
	etag := answer.resp.Header.Get("ETag")
	ranges := strings.EqualFold(answer.resp.Header.Get("Accept-Ranges"), "bytes")
	if ranges && b.size != investigation.SizeUnknown && strings.HasPrefix(etag, `"`) {
		b.etag = etag
	}
	return b
}

// Read implements [io.Reader]. It returns the bytes read before an error first, and the error on
// the next call.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for b.end == nil {
		if cause := context.Cause(b.ctx); cause != nil {
			b.end = fmt.Errorf("read the download at byte %d: %w", b.offset, cause)
			break
		}
		if b.broken != nil {
			b.end = b.resume()
			continue
		}
		n, err := b.answer.Read(p)
		b.offset += int64(n)
		b.note(err)
		if n > 0 {
			return n, nil
		}
	}
	return 0, b.end
}

// note updates the state after one read; the caller has already advanced offset.
func (b *body) note(err error) {
	known := b.size != investigation.SizeUnknown
	switch {
	case known && b.offset > b.size:
		b.end = fmt.Errorf("the download is longer than the %d bytes the host declared", b.size)
	case b.offset > packageBytesMax:
		b.end = fmt.Errorf("the download is longer than the limit of %d bytes", int64(packageBytesMax))
	case err == nil:
	case known && b.offset == b.size:
		b.end = io.EOF // complete, even if the connection then broke
	case !errors.Is(err, io.EOF):
		b.broken = fmt.Errorf("read the download at byte %d: %w", b.offset, err)
	case known:
		b.broken = fmt.Errorf("the download ended at byte %d of %d: %w",
			b.offset, b.size, io.ErrUnexpectedEOF)
	default:
		b.end = io.EOF
	}
}

// resume continues the download at offset. If it cannot, the error says why the download broke and
// why resuming failed.
func (b *body) resume() error {
	b.answer.close()
	if b.etag == "" {
		return b.broken
	}
	var failure error
	for b.resumes < resumesMax {
		b.resumes++
		err := pause.For(b.ctx, resumePause<<(b.resumes-1))
		if err != nil {
			return fmt.Errorf("%w; %w", b.broken, err)
		}
		answer, err := b.rest()
		if err == nil {
			b.broken = nil
			return b.take(answer)
		}
		failure = err
		if errors.Is(err, investigation.ErrLinkExpired) || errors.Is(err, errChanged) {
			break
		}
	}
	if failure == nil {
		return b.broken
	}
	return fmt.Errorf("%w; resume: %w", b.broken, failure)
}

// errChanged means that the host's current file, or the range it offers, does not continue the
// bytes already received.
var errChanged = errors.New("the host did not return the rest of the same file")

// rest requests the bytes from offset to the end.
func (b *body) rest() (*exchange, error) {
	answer, err := b.client.get(b.ctx, b.link, http.Header{
		"Range":    {fmt.Sprintf("bytes=%d-", b.offset)},
		"If-Range": {b.etag},
	})
	if err != nil {
		return nil, err
	}
	resp := answer.resp
	first, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err != nil || first != b.offset || total != b.size ||
		resp.StatusCode != http.StatusPartialContent || resp.Header.Get("ETag") != b.etag ||
		resp.Uncompressed || resp.Header.Get("Content-Encoding") != "" {
		answer.close()
		return nil, errChanged
	}
	return answer, nil
}

// take makes answer the current response, unless the download was closed in the meantime.
func (b *body) take(answer *exchange) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
	if cause := context.Cause(b.ctx); cause != nil {
		answer.close()
		return cause
	}
	return nil
}

// Close ends the download and always returns nil. It may be called more than once.
func (b *body) Close() error {
	b.cancel(errClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer.close()
	return nil
}

var contentRangeForm = regexp.MustCompile(`^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$`)

// parseContentRange reads "bytes first-last/total" and returns first and total. It rejects an
// unknown total and a range beyond the total.
func parseContentRange(value string) (first, total int64, err error) {
	parts := contentRangeForm.FindStringSubmatch(strings.TrimSpace(value))
	if parts == nil {
		return 0, 0, fmt.Errorf("invalid Content-Range %.64q", value)
	}
	numbers := [3]int64{}
	for i, part := range parts[1:] {
		numbers[i], err = strconv.ParseInt(part, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("invalid Content-Range %.64q", value)
		}
	}
	if numbers[0] > numbers[1] || numbers[1] >= numbers[2] {
		return 0, 0, fmt.Errorf("invalid Content-Range %.64q", value)
	}
	return numbers[0], numbers[2], nil
}
