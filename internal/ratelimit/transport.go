package ratelimit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"packhorse/internal/investigation"
)

// writeTimeout bounds the writes to the counter that follow an answer.
const writeTimeout = 5 * time.Second

// ExhaustedError says that the budget allows no call now; nothing was sent. It wraps a
// *[investigation.PostponedError] with the same RetryAt.
type ExhaustedError struct {
	Budget  string
	RetryAt time.Time // the first instant a call may be allowed
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("budget %s is spent until %s", e.Budget, e.RetryAt.UTC().Format(time.RFC3339))
}

// Unwrap returns the same fact in the words of the use cases.
func (e *ExhaustedError) Unwrap() error {
	return &investigation.PostponedError{RetryAt: e.RetryAt, Err: investigation.ErrBudgetSpent}
}

// ErrTooLate says that the lease had run out before the request could be sent: the process was
// suspended, or the counter took too long to answer. Nothing was sent; the slot stays spent.
var ErrTooLate = errors.New("the lease ran out before the request was sent")

// Transport is an [http.RoundTripper] that counts: one lease, one request on the wire. A request
// that is denied is not sent and fails with an *[ExhaustedError].
//
// A sent request is a spent call. An answer settles its slot; a request without an answer, for
// whatever reason, keeps it until its deadline, because the server may yet count it. A 429 stops
// all calls of the budget for as long as the server asks, and for a minute at least.
type Transport struct {
	base     http.RoundTripper
	counter  Counter
	budget   Budget
	now      func() time.Time
	newOwner func() string
	logger   *slog.Logger
}

// NewTransport returns a Transport that sends through base, which MUST send each request at most
// once (see [FreshConnections]). newOwner MUST never return the same name twice, in any process.
func NewTransport(base http.RoundTripper, counter Counter, budget Budget, now func() time.Time,
	newOwner func() string, logger *slog.Logger,
) *Transport {
	return &Transport{
		base: base, counter: counter, budget: budget, now: now, newOwner: newOwner, logger: logger,
	}
}

// FreshConnections returns a copy of t that opens a connection for each request and speaks
// HTTP/1.1. On a connection that is used again, or on HTTP/2, Go silently sends a GET once more
// when the server closes it at the wrong moment (measured: 2 calls, 3 requests at the server).
func FreshConnections(t *http.Transport) *http.Transport {
	fresh := t.Clone()
	fresh.DisableKeepAlives = true
	fresh.ForceAttemptHTTP2 = false
	fresh.Protocols = new(http.Protocols)
	fresh.Protocols.SetHTTP1(true)
	// A transport that was used, or cloned, before has HTTP/2 set up in these two already.
	fresh.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if fresh.TLSClientConfig != nil {
		fresh.TLSClientConfig.NextProtos = []string{"http/1.1"} // Clone made the config our own
	}
	return fresh
}

// RoundTrip implements [http.RoundTripper]. The answer's body MUST be read and closed before the
// lease's deadline, [MaxCall] after RoundTrip was called.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	owner := t.newOwner()
	decision, err := t.counter.Lease(req.Context(), t.budget, owner, t.now())
	if err == nil && !decision.Allowed {
		err = &ExhaustedError{Budget: t.budget.Name, RetryAt: decision.RetryAt}
	} else if err != nil {
		err = investigation.Because(investigation.CauseCounter, err)
	}
	if err != nil {
		discard(req)
		return nil, fmt.Errorf("lease a slot: %w", err)
	}
	left := decision.SendBy.Sub(t.now())
	if left <= 0 {
		discard(req)
		return nil, ErrTooLate
	}
	// By the deadline the connection is closed, so that nothing reaches the server after it.
	ctx, cancel := context.WithTimeout(req.Context(), left)
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &releasing{ReadCloser: resp.Body, release: sync.OnceFunc(cancel)}
	t.settle(req.Context(), owner, decision.Slot, resp)
	return resp, nil
}

// settle writes down what the answer means for the budget. A write that fails costs time, not
// correctness: the slot stays leased until its deadline. The answer is worth more than that, so it
// is handed on all the same.
func (t *Transport) settle(ctx context.Context, owner string, slot int, resp *http.Response) {
	answeredAt := t.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if resp.StatusCode == http.StatusTooManyRequests {
		until := answeredAt.Add(cooldown(resp.Header.Get("Retry-After"), answeredAt))
		t.logger.WarnContext(ctx, "the server says the budget is spent; does somebody share it?",
			slog.String("budget", t.budget.Name), slog.Time("cooldownUntil", until))
		err := t.counter.CoolDown(ctx, t.budget, until)
		if err != nil {
			t.logger.ErrorContext(ctx, "the cooldown could not be written down",
				slog.String("budget", t.budget.Name), slog.String("error", err.Error()))
		}
	}
	err := t.counter.Settle(ctx, t.budget, owner, slot, answeredAt)
	if err != nil {
		t.logger.WarnContext(ctx, "a slot could not be settled and stays leased until its deadline",
			slog.String("budget", t.budget.Name), slog.String("error", err.Error()))
	}
}

// cooldown is how long a 429 stops the calls: what Retry-After says (seconds, or an HTTP date), but
// within CooldownMin and CooldownMax.
func cooldown(retryAfter string, now time.Time) time.Duration {
	asked := CooldownMin
	if seconds, err := strconv.ParseUint(retryAfter, 10, 31); err == nil {
		asked = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(retryAfter); err == nil {
		asked = date.Sub(now)
	}
	return min(max(asked, CooldownMin), CooldownMax)
}

// discard closes the body of a request that is not sent, as a RoundTripper must.
func discard(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was read from it
	}
}

// releasing frees the request's context when the body is closed.
type releasing struct {
	io.ReadCloser
	release func()
}

func (r *releasing) Close() error {
	err := r.ReadCloser.Close()
	r.release()
	return err
}
