package fetch_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

// pad is a bucket and a publisher that record their calls.
type pad struct {
	mu                       sync.Mutex // guards asked
	asked                    []string
	unready, unpub, unstored error
}

func (p *pad) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, what)
}

func (p *pad) Ready(context.Context) error {
	p.note("ready")
	return p.unready
}

func (p *pad) StoreManifest(_ context.Context, key string, pem []byte) (investigation.Placed, error) {
	p.note("store " + key + " " + string(pem))
	return investigation.Placed{}, p.unstored
}

func (p *pad) Publish(ctx context.Context,
	put func(ctx context.Context, key string, pem []byte) (investigation.Placed, error),
) error {
	p.note("publish")
	if p.unpub != nil {
		return p.unpub
	}
	_, err := put(ctx, "the key", []byte("PEM"))
	return err
}

func (p *pad) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(p.asked, want) {
		t.Errorf("asked for %q, want %q", p.asked, want)
	}
	p.asked = nil
}

// Run checks the bucket every time, and publishes the key until that succeeds once.
func TestPreflight(t *testing.T) {
	p := &pad{unready: errors.New("no bucket")}
	preflight := fetch.NewPreflight(p, p)
	fails := func(want error) {
		t.Helper()
		if err := preflight.Run(t.Context()); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	fails(p.unready)
	p.expect(t, "ready") // without a bucket the key is not published

	p.unready, p.unpub = nil, errors.New("no key")
	fails(p.unpub)
	p.expect(t, "ready", "publish")

	p.unpub, p.unstored = nil, errors.New("not stored")
	fails(p.unstored)
	p.expect(t, "ready", "publish", "store the key PEM")

	p.unstored = nil
	fails(nil)
	p.expect(t, "ready", "publish", "store the key PEM")
	fails(nil)
	p.expect(t, "ready")

	p.unready = errors.New("no bucket any more")
	fails(p.unready)
	p.expect(t, "ready")
}

// Concurrent runs publish once.
func TestPreflightPublishesOnce(t *testing.T) {
	p := &pad{}
	preflight := fetch.NewPreflight(p, p)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := preflight.Run(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	slices.Sort(p.asked)
	p.expect(t, append(append([]string{"publish"}, slices.Repeat([]string{"ready"}, 20)...),
		"store the key PEM")...)
}

// An event whose preflight fails is not handled: it costs no call, and its action is handed over again.
func TestPreflightComesBeforeTheEvent(t *testing.T) {
	p := &pad{unready: errors.New("no bucket")}
	l := &ledger{refusal: &investigation.NotClaimableError{}}
	fetcher := fetch.New(fetch.Config{
		Ledger: l, Preflight: fetch.NewPreflight(p, p), Now: time.Now,
		NewOwner: func() string { return "owner" }, Logger: slog.New(slog.DiscardHandler),
	})
	handler := fetch.NewHandler(only(fetcher), slog.New(slog.DiscardHandler))
	envelope := ready(t)
	answer, err := handler.Handle(t.Context(), envelope)
	if !errors.Is(err, p.unready) || answer != (fetch.Answer{}) || len(l.claimed) != 0 {
		t.Errorf("got %+v, %v, claimed %v", answer, err, l.claimed)
	}
	p.expect(t, "ready")

	p.unready = nil
	answer, err = handler.Handle(t.Context(), envelope)
	if err != nil || answer.Outcome != fetch.OutcomeRefused || len(l.claimed) != 1 {
		t.Errorf("got %+v, %v, claimed %v", answer, err, l.claimed)
	}
	p.expect(t, "ready", "publish", "store the key PEM")

	envelope.Source = "somebody else"
	_, err = handler.Handle(t.Context(), envelope)
	if err != nil {
		t.Error(err)
	}
	p.expect(t)
}

// ready returns the Ready event of events/.
func ready(t *testing.T) event.Envelope {
	t.Helper()
	text, err := os.ReadFile("../../events/fetch-package.json")
	if err != nil {
		t.Fatal(err)
	}
	var envelope event.Envelope
	err = json.Unmarshal(text, &envelope)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}
