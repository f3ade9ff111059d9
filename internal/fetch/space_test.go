package fetch_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// cramped is a Defender, an archive, and the archive's disk. From the given call of Room on, the disk is
// full.
type cramped struct {
	fetch.Archive // nil: storing a package panics

	fullFrom      int // 1: the call before the link, 2: the one after the size was declared
	asked         []int64
	links, opened int
	closed        bool
}

var errFull = errors.New("the disk is full")

func (c *cramped) Room(ctx context.Context, _ investigation.ID, size int64) error {
	c.asked = append(c.asked, size)
	if len(c.asked) < c.fullFrom {
		return ctx.Err()
	}
	return &investigation.PostponedError{RetryAt: now.Add(time.Minute), Err: errFull}
}

func (*cramped) Look(_ context.Context, _ investigation.Record, key investigation.Key, _ bool) (
	investigation.Found, error,
) {
	return investigation.Found{Free: key}, nil
}

func (c *cramped) PackageURI(context.Context, string) (investigation.Link, investigation.Exchange, error) {
	c.links++
	return investigation.NewLink("https://host.example/p"), investigation.Exchange{}, nil
}

func (c *cramped) Open(context.Context, investigation.Link) (investigation.Package, error) {
	c.opened++
	return investigation.Package{Size: 5 << 30, Body: c}, nil
}

func (*cramped) Read([]byte) (int, error) { return 0, io.EOF }

func (c *cramped) Close() error {
	c.closed = true
	return nil
}

var now = time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)

// Without room for a package, no link is requested. If only the declared size shows that there is too
// little room, nothing is stored. Neither counts as an attempt.
func TestNoRoom(t *testing.T) {
	for name, test := range map[string]struct {
		fullFrom, links int
		asked           []int64
	}{
		"for any package": {fullFrom: 1, asked: []int64{investigation.SizeUnknown}},
		"for one that big": {
			fullFrom: 2, links: 1, asked: []int64{investigation.SizeUnknown, 5 << 30},
		},
	} {
		ledger := memory.NewLedger()
		id := investigation.ID{TenantID: tenant, ActionID: strings.Repeat("ab", 20)}
		_, err := ledger.Change(t.Context(), investigation.Action{
			ID: id, MachineID: strings.Repeat("cd", 20), Status: investigation.StatusSucceeded,
			CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-time.Hour),
		}.ID, investigation.Observe(investigation.Action{
			ID: id, MachineID: strings.Repeat("cd", 20), Status: investigation.StatusSucceeded,
			CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-time.Hour),
		}, now))
		if err != nil {
			t.Fatal(err)
		}
		c := &cramped{fullFrom: test.fullFrom}
		fetcher := fetch.New(fetch.Config{
			Defender: c,
			Ledger:   ledger,
			Archive:  c,
			Space:    c,
			Prefix:   "packages/",
			Lease:    time.Minute,
			Now:      func() time.Time { return now },
			NewOwner: func() string { return "owner" },
			Logger:   slog.New(slog.DiscardHandler),
		})
		got := fetcher.Fetch(t.Context(), id)
		rec, err := got.Record, got.Err
		if !errors.Is(err, errFull) || rec.State != investigation.StateReady || rec.Attempts != 0 ||
			!rec.DueAt.Equal(now.Add(time.Minute)) || !strings.Contains(rec.Message, errFull.Error()) {
			t.Errorf("%s: got %+v, %v", name, rec, err)
		}
		if c.links != test.links || c.opened != test.links || c.closed != (test.links > 0) {
			t.Errorf("%s: %d links, %d downloads, closed %t", name, c.links, c.opened, c.closed)
		}
		if len(c.asked) != len(test.asked) || c.asked[len(c.asked)-1] != test.asked[len(test.asked)-1] {
			t.Errorf("%s: asked for room for %d", name, c.asked)
		}
	}
	if err := (fetch.Unlimited{}).Room(t.Context(), investigation.ID{}, 1<<62); err != nil {
		t.Errorf("in S3: got %v", err)
	}
}
