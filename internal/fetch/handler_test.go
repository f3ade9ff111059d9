package fetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

const tenant = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

// ledger refuses every claim, and records them.
type ledger struct {
	fetch.Ledger

	claimed []investigation.ID
	refusal error
}

func (l *ledger) Change(_ context.Context, id investigation.ID, _ investigation.Change) (
	investigation.Record, error,
) {
	l.claimed = append(l.claimed, id)
	return investigation.Record{}, l.refusal
}

func handle(t *testing.T, l fetch.Ledger, c fetch.Custody, file string) (fetch.Answer, string, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var envelope event.Envelope
	if err := json.Unmarshal(text, &envelope); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	fetcher := fetch.New(fetch.Config{
		Ledger:   l,
		Custody:  c,
		Prefix:   "",
		Lease:    time.Minute,
		Now:      time.Now,
		NewOwner: func() string { return "owner" },
		Logger:   logger,
	})
	answer, err := fetch.NewHandler(only(fetcher), logger).Handle(t.Context(), envelope)
	return answer, log.String(), err
}

// only serves the one tenant.
func only(fetcher *fetch.Fetcher) *fetch.Tenants {
	return fetch.NewTenants(func(_ context.Context, id string) (fetch.Member, error) {
		if id != tenant {
			return fetch.Member{}, fetch.ErrUnknownTenant
		}
		return fetch.Member{Open: func() (*fetch.Fetcher, error) { return fetcher, nil }}, nil
	}, time.Now)
}

// An event that is not for this function is refused before anything is touched.
func TestBustedEvents(t *testing.T) {
	files, err := filepath.Glob("../../events/busted_*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	for _, file := range files {
		l := &ledger{}
		answer, log, err := handle(t, l, nil, file)
		if err != nil || answer.Outcome != fetch.OutcomeRefused || answer.Reason == "" {
			t.Errorf("%s: got %+v, %v", file, answer, err)
		}
		if len(l.claimed) != 0 || strings.Count(log, "\n") != 1 || !strings.Contains(log, "refused") {
			t.Errorf("%s: claimed %v, logged %q", file, l.claimed, log)
		}
	}
}

// A Ready event for an action that is unknown, finished or taken is refused. A ledger that does not answer
// is an error.
func TestNothingToClaim(t *testing.T) {
	outage := errors.New("the table does not answer")
	for name, test := range map[string]struct {
		refusal error
		want    error
	}{
		"unknown":  {refusal: investigation.ErrUnknownAction},
		"finished": {refusal: &investigation.NotClaimableError{}},
		"outage":   {refusal: outage, want: outage},
	} {
		l := &ledger{refusal: test.refusal}
		answer, log, err := handle(t, l, nil, "../../events/fetch-package.json")
		if !errors.Is(err, test.want) || (test.want == nil) != (answer.Outcome == fetch.OutcomeRefused) {
			t.Errorf("%s: got %+v, %v; logged %q", name, answer, err, log)
		}
		want := investigation.ID{TenantID: tenant, ActionID: "5803a2c9-ab28-4599-a3e0-6e9d3d2b1e4c"}
		if len(l.claimed) != 1 || l.claimed[0] != want {
			t.Errorf("%s: claimed %v", name, l.claimed)
		}
	}
}
