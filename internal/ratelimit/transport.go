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

// writeTimeout bounds the writes to the counter after an answer.
const writeTimeout = 5 * time.Second

// ExhaustedError says that the budget does not allow a call now. Nothing was sent. It wraps a
// *[investigation.PostponedError] with the same RetryAt.
type ExhaustedError struct {
	Budget  string
	RetryAt time.Time // the first instant a call may be allowed
}

func (e *ExhaustedError) Error() string {
	return fmt.Sprintf("budget %s is spent until %s", e.Budget, e.RetryAt.UTC().Format(time.RFC3339))
}

// Unwrap returns the equivalent error that the use cases check for.
func (e *ExhaustedError) Unwrap() error {
	return &investigation.PostponedError{RetryAt: e.RetryAt, Err: investigation.ErrBudgetSpent}
}

// ErrTooLate says that the lease ran out before the request could be sent: the process was suspended, or
// the counter took too long to answer. Nothing was sent, but the slot stays spent.
var ErrTooLate = errors.New("the lease ran out before the request was sent")

// Transport is an [http.RoundTripper] that leases one slot for each request on the wire. If the lease is
// denied, it does not send the request, which fails with an *[ExhaustedError].
//
// A request that was sent is spent. An answer settles its slot. Without an answer, for any reason, the
// slot stays leased until its deadline, because the server may still count the request. A 429 stops all
// calls of the budget for as long as the server asks, and for at least a minute.
type Transport struct {
	base     http.RoundTripper
	counter  Counter
	budget   Budget
	now      func() time.Time
	newOwner func() string
	logger   *slog.Logger
}

// NewTransport returns a Transport that sends through base, which MUST send each request at most once
// (see [FreshConnections]). newOwner MUST never return the same name twice, not even in two processes.
func NewTransport(base http.RoundTripper, counter Counter, budget Budget, now func() time.Time,
	newOwner func() string, logger *slog.Logger,
) *Transport {
	return &Transport{
		base: base, counter: counter, budget: budget, now: now, newOwner: newOwner, logger: logger,
	}
}

// FreshConnections returns a copy of t that opens a new connection for each request and speaks HTTP/1.1.
// On a reused connection, or on HTTP/2, Go silently sends a GET again when the server closes the
// connection at the wrong moment (measured: 2 calls became 3 requests at the server).
func FreshConnections(t *http.Transport) *http.Transport {
	fresh := t.Clone()
	fresh.DisableKeepAlives = true
	fresh.ForceAttemptHTTP2 = false
	fresh.Protocols = new(http.Protocols)
	fresh.Protocols.SetHTTP1(true)
	// If t was used or cloned before, HTTP/2 is already set up in these two.
	fresh.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if fresh.TLSClientConfig != nil {
		fresh.TLSClientConfig.NextProtos = []string{"http/1.1"} // a copy: Clone cloned the config
	}
	return fresh
}

// RoundTrip implements [http.RoundTripper]. The caller MUST read and close the body before the lease's
// deadline, [MaxCall] after the call of RoundTrip.
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
	// The deadline closes the connection: nothing may reach the server after it.
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

// settle records the answer in the budget. A write that fails costs time, not correctness: the slot stays
// leased until its deadline. The caller gets the answer anyway, because it is worth more than that time.
func (t *Transport) settle(ctx context.Context, owner string, slot int, resp *http.Response) {
	answeredAt := t.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if resp.StatusCode == http.StatusTooManyRequests {
		until := answeredAt.Add(cooldown(resp.Header.Get("Retry-After"), answeredAt))
		t.logger.WarnContext(ctx, "the server says the budget is spent; is something else using this app registration?",
			slog.String("budget", t.budget.Name), slog.Time("cooldownUntil", until))
		err := t.counter.CoolDown(ctx, t.budget, until)
		if err != nil {
			t.logger.ErrorContext(ctx, "could not store the cooldown",
				slog.String("budget", t.budget.Name), slog.String("error", err.Error()))
		}
	}
	err := t.counter.Settle(ctx, t.budget, owner, slot, answeredAt)
	if err != nil {
		t.logger.WarnContext(ctx, "could not settle a slot, it stays leased until its deadline",
			slog.String("budget", t.budget.Name), slog.String("error", err.Error()))
	}
}

// cooldown returns how long a 429 stops the calls: as long as Retry-After says (seconds, or an HTTP date),
// but at least CooldownMin and at most CooldownMax.
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
		_ = req.Body.Close() // nothing was read, so a failure does not matter
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
