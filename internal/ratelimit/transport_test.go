package ratelimit_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/ratelimit"
)

// server is the remote end: it answers as configured, and counts.
type server struct {
	requests   int
	status     int
	retryAfter string
	delay      time.Duration
	err        error
	deadline   time.Time
}

func (s *server) RoundTrip(req *http.Request) (*http.Response, error) {
	s.requests++
	s.deadline, _ = req.Context().Deadline()
	select {
	case <-time.After(s.delay):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if s.err != nil {
		return nil, s.err
	}
	status := s.status
	if status == 0 {
		status = http.StatusOK
	}
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("{}"))}
	if s.retryAfter != "" {
		resp.Header.Set("Retry-After", s.retryAfter)
	}
	return resp, nil
}

// owners returns a newOwner that returns names in alphabetical order.
func owners() func() string {
	var n atomic.Int32
	return func() string { return "owner " + string('a'+n.Add(1)-1) }
}

var quiet = slog.New(slog.DiscardHandler)

func request(t *testing.T) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example/x", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// send makes one call and closes the response body.
func send(t *testing.T, tr *ratelimit.Transport) error {
	t.Helper()
	resp, err := tr.RoundTrip(request(t))
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

func TestTransportSpendsTheBudgetAndNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{delay: 300 * time.Millisecond}
		tr := ratelimit.NewTransport(s, ratelimit.NewMemory(), packageURI, time.Now, owners(), quiet)
		for range 2 {
			if err := send(t, tr); err != nil {
				t.Fatal(err)
			}
		}
		firstAnswer := time.Now().Add(-300 * time.Millisecond)
		err := send(t, tr)
		exhausted, ok := errors.AsType[*ratelimit.ExhaustedError](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		if want := firstAnswer.Add(time.Minute + ratelimit.Guard); !exhausted.RetryAt.Equal(want) {
			t.Errorf("got RetryAt %v, want %v", exhausted.RetryAt, want)
		}
		postponed, ok := errors.AsType[*investigation.PostponedError](err)
		if !ok || !postponed.RetryAt.Equal(exhausted.RetryAt) {
			t.Errorf("the use cases get %+v", postponed)
		}
		if s.requests != 2 {
			t.Errorf("%d requests reached the server, want 2", s.requests)
		}
		time.Sleep(time.Until(exhausted.RetryAt))
		if err := send(t, tr); err != nil {
			t.Errorf("at the promised instant: %v", err)
		}
	})
}

func TestTransportThroughClient(t *testing.T) {
	counter := ratelimit.NewMemory()
	if err := counter.CoolDown(t.Context(), packageURI, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	tr := ratelimit.NewTransport(&server{}, counter, packageURI, time.Now, owners(), quiet)
	_, err := (&http.Client{Transport: tr}).Do(request(t))
	if _, ok := errors.AsType[*ratelimit.ExhaustedError](err); !ok {
		t.Errorf("through http.Client the denial is %v", err)
	}
}

// A call without an answer stays spent until its deadline: the server may have counted it.
func TestTransportNeverRefunds(t *testing.T) {
	for name, s := range map[string]*server{
		"connection broke": {err: errors.New("connection reset"), delay: time.Second},
		"no answer":        {delay: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				counter := ratelimit.NewMemory()
				tr := ratelimit.NewTransport(s, counter, packageURI, time.Now, owners(), quiet)
				if err := send(t, tr); err == nil {
					t.Fatal("the call succeeded")
				}
				if took := time.Since(began); took > ratelimit.MaxCall {
					t.Errorf("the call took %v, its deadline is %v", took, ratelimit.MaxCall)
				}
				state, err := counter.Peek(t.Context(), packageURI)
				if err != nil {
					t.Fatal(err)
				}
				want := began.Add(ratelimit.MaxCall + time.Minute + ratelimit.Guard)
				if got := state.FreeAt(packageURI)[1]; !got.Equal(want) {
					t.Errorf("the slot is free at %v, want %v", got, want)
				}
			})
		})
	}
}

func TestTransportCoolsDownAfter429(t *testing.T) {
	tests := []struct {
		name, retryAfter string
		want             time.Duration
	}{
		{"no header", "", time.Minute},
		{"shorter than a window", "5", time.Minute},
		{"longer", "300", 5 * time.Minute},
		{"a date", "DATE", 10 * time.Minute},
		{"a date in the past", "Sun, 06 Nov 1994 08:49:37 GMT", time.Minute},
		{"absurd", "999999999", ratelimit.CooldownMax},
		{"nonsense", "soon", time.Minute},
		{"negative", "-7", time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &server{status: http.StatusTooManyRequests, retryAfter: tt.retryAfter}
				if tt.retryAfter == "DATE" {
					s.retryAfter = time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)
				}
				tr := ratelimit.NewTransport(s, ratelimit.NewMemory(), packageURI, time.Now, owners(), quiet)
				answered := time.Now()
				if err := send(t, tr); err != nil {
					t.Fatal(err)
				}
				exhausted, ok := errors.AsType[*ratelimit.ExhaustedError](send(t, tr))
				if !ok {
					t.Fatal("the second call was allowed")
				}
				if got := exhausted.RetryAt.Sub(answered); got != tt.want {
					t.Errorf("got a cooldown of %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// slowCounter takes long to lease, like a suspended process.
type slowCounter struct {
	*ratelimit.Memory
	delay time.Duration
}

func (c slowCounter) Lease(ctx context.Context, b ratelimit.Budget, owner string, now time.Time) (
	ratelimit.Decision, error,
) {
	d, err := c.Memory.Lease(ctx, b, owner, now)
	time.Sleep(c.delay)
	return d, err
}

func TestTransportDoesNotSendLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		tr := ratelimit.NewTransport(s, slowCounter{ratelimit.NewMemory(), ratelimit.MaxCall}, packageURI,
			time.Now, owners(), quiet)
		if err := send(t, tr); !errors.Is(err, ratelimit.ErrTooLate) {
			t.Errorf("got %v", err)
		}
		if s.requests != 0 {
			t.Error("the request was sent")
		}
	})
}

func TestTransportDeadlineCountsFromTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		began := time.Now()
		tr := ratelimit.NewTransport(s, slowCounter{ratelimit.NewMemory(), 10 * time.Second}, packageURI,
			time.Now, owners(), quiet)
		if err := send(t, tr); err != nil {
			t.Fatal(err)
		}
		if want := began.Add(ratelimit.MaxCall); !s.deadline.Equal(want) {
			t.Errorf("got deadline +%v, want +%v", s.deadline.Sub(began), ratelimit.MaxCall)
		}
	})
}

// brokenCounter leases, but cannot settle.
type brokenCounter struct{ *ratelimit.Memory }

var errBroken = errors.New("store unavailable")

func (brokenCounter) Settle(context.Context, ratelimit.Budget, string, int, time.Time) error {
	return errBroken
}

func TestTransportKeepsAnAnswerThatCannotBeSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := brokenCounter{ratelimit.NewMemory()}
		var log strings.Builder
		tr := ratelimit.NewTransport(&server{}, counter, packageURI, time.Now, owners(),
			slog.New(slog.NewTextHandler(&log, nil)))
		if err := send(t, tr); err != nil {
			t.Errorf("the answer was lost: %v", err)
		}
		if !strings.Contains(log.String(), errBroken.Error()) {
			t.Errorf("the log says %q", log.String())
		}
	})
}

// On a connection that dies, Go's default transport sends a GET again. Ours must not.
func TestFreshConnectionsSendOnce(t *testing.T) {
	var requests atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1)%2 == 0 {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close() // the client cannot know whether it was counted
			}
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	used := srv.Client().Transport.(*http.Transport)
	used.ForceAttemptHTTP2 = true
	fresh := ratelimit.FreshConnections(used)
	generous := ratelimit.Budget{Name: "x", PerMinute: 100, PerHour: 6000}
	tr := ratelimit.NewTransport(fresh, ratelimit.NewMemory(), generous, time.Now, owners(), quiet)
	const calls = 6
	for i := range calls {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if broke := i%2 == 1; (err != nil) != broke {
			t.Fatalf("call %d: %v", i+1, err)
		}
		if err == nil {
			if resp.ProtoMajor != 1 {
				t.Errorf("call %d spoke %s", i+1, resp.Proto)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	if requests.Load() != calls {
		t.Errorf("%d calls became %d requests", calls, requests.Load())
	}
}
