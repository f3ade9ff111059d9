package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

func TestBackOff(t *testing.T) {
	minutes := []float64{1, 2, 4, 8, 16, 32, 60, 60}
	for i, want := range minutes {
		if got := fetch.BackOff(i + 1); got.Minutes() != want {
			t.Errorf("after attempt %d: got %v, want %v min", i+1, got, want)
		}
	}
}

// Only failures on Defender's side can give up a package.
func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
	cut := fetch.Theirs(fmt.Errorf("store: %w", io.ErrUnexpectedEOF))
	expired := fetch.Theirs(fmt.Errorf("open: %w", investigation.ErrLinkExpired))
	invalid := fetch.Theirs(fmt.Errorf("check: %w", investigation.ErrNotAPackage))
	denied := fetch.Theirs(&investigation.PostponedError{
		RetryAt: now.Add(17 * time.Second), Err: errors.New("no slot")})
	uncounted := fetch.Theirs(investigation.Because(investigation.CauseCounter, errors.New("no such table")))
	bucketGone := errors.New("no such bucket")
	stopped := fmt.Errorf("read: %w", context.Canceled)

	tests := []struct {
		name     string
		attempts int
		links    int
		failure  error
		reason   investigation.Reason
		charge   investigation.Charge
		pause    time.Duration
	}{
		{"a cut body, first", 1, 0, cut, "", investigation.ChargeAttempt, time.Minute},
		{"a cut body, third", 3, 0, cut, "", investigation.ChargeAttempt, 4 * time.Minute},
		{"a cut body, last", 12, 0, cut, investigation.ReasonExpired, investigation.ChargeAttempt, time.Hour},
		{"not a package, third", 3, 0, invalid, "", investigation.ChargeAttempt, 4 * time.Minute},
		{"not a package, last", 4, 0, invalid, investigation.ReasonInvalid, investigation.ChargeAttempt,
			8 * time.Minute},
		{"link expired, first", 1, 0, expired, "", investigation.ChargeLink, time.Minute},
		{"link expired, third", 1, 2, expired, "", investigation.ChargeLink, 4 * time.Minute},
		{"link expired, last", 1, 11, expired, investigation.ReasonExpired, investigation.ChargeLink, time.Hour},
		{"denied", 1, 0, denied, "", investigation.ChargeNothing, 17 * time.Second},
		{"denied, 99 attempts", 99, 99, denied, "", investigation.ChargeNothing, 17 * time.Second},
		{"our bucket, 99 attempts", 99, 0, bucketGone, "", investigation.ChargeAttempt, time.Hour},
		{"our budget table, 99 attempts", 99, 0, uncounted, "", investigation.ChargeAttempt, time.Hour},
		{"asked to stop", 12, 0, stopped, "", investigation.ChargeAttempt, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := investigation.Record{Attempts: tt.attempts, ExpiredLinks: tt.links}
			reason, release := fetch.Judge(rec, tt.failure, now)
			if reason != tt.reason || release.Charge != tt.charge {
				t.Errorf("got reason %q charge %v, want %q, %v",
					reason, release.Charge, tt.reason, tt.charge)
			}
			if got := release.DueAt.Sub(now); got != tt.pause {
				t.Errorf("got a pause of %v, want %v", got, tt.pause)
			}
			if release.Message == "" {
				t.Error("the release has no message")
			}
		})
	}
}

// The cause that an adapter named wins. A failure on Defender's side without one is a failed download; any
// other failure without one does not count as one that passes.
func TestCauseOf(t *testing.T) {
	cut := fmt.Errorf("store: %w", io.ErrUnexpectedEOF)
	forbidden := investigation.Because(investigation.CauseForbidden, errors.New("403"))
	for _, test := range []struct {
		failure error
		want    investigation.Cause
	}{
		{fetch.Theirs(cut), investigation.CauseDownload},
		{fetch.Theirs(&investigation.PostponedError{Err: forbidden}), investigation.CauseForbidden},
		{fetch.Theirs(&investigation.PostponedError{Err: investigation.ErrBudgetSpent}),
			investigation.CauseBudget},
		{cut, investigation.CauseOther},
	} {
		if got := fetch.CauseOf(test.failure); got != test.want {
			t.Errorf("%v: got %q, want %q", test.failure, got, test.want)
		}
		_, release := fetch.Judge(investigation.Record{Attempts: 1}, test.failure, time.Time{})
		if release.Cause != test.want {
			t.Errorf("%v: the ledger is told %q, want %q", test.failure, release.Cause, test.want)
		}
	}
}

func TestJudgeBoundsTheMessage(t *testing.T) {
	long := errors.New(strings.Repeat("é\n", 5000))
	_, release := fetch.Judge(investigation.Record{Attempts: 1}, long, time.Time{})
	if len(release.Message) > 1100 || strings.Contains(release.Message, "\n") {
		t.Errorf("got %d bytes", len(release.Message))
	}
}
