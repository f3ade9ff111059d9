package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"packhorse/internal/fetch"
)

// book is a registry of tenants.
type book struct {
	versions map[string]string
	err      error
	lookups  int
	opened   int
}

func (b *book) lookup(_ context.Context, id string) (fetch.Member, error) {
	b.lookups++
	version, known := b.versions[id]
	switch {
	case b.err != nil:
		return fetch.Member{}, b.err
	case !known:
		return fetch.Member{}, fetch.ErrUnknownTenant
	case version == "suspended":
		return fetch.Member{}, fetch.ErrSuspended
	}
	return fetch.Member{Version: version, Open: func() (*fetch.Fetcher, error) {
		b.opened++
		return fetch.New(fetch.Config{}), nil
	}}, nil
}

// TestTenants: settings are looked up once a minute; a change takes effect then, and a registry that cannot be
// read stops nobody who is known.
func TestTenants(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	b := &book{versions: map[string]string{"a": "1", "b": "1"}}
	tenants := fetch.NewTenants(b.lookup, func() time.Time { return now })
	fetcher := func(id string) *fetch.Fetcher {
		t.Helper()
		f, err := tenants.Fetcher(t.Context(), id)
		if err != nil {
			t.Errorf("tenant %s: %v", id, err)
		}
		return f
	}
	first := fetcher("a")
	if fetcher("a") != first || fetcher("b") == first || b.lookups != 2 || b.opened != 2 {
		t.Errorf("%d lookups, %d opened, want 2 of each", b.lookups, b.opened)
	}
	now = now.Add(time.Minute)
	if fetcher("a") != first || b.lookups != 3 {
		t.Errorf("unchanged settings: %d lookups", b.lookups)
	}
	b.versions["a"] = "2"
	now = now.Add(time.Minute)
	second := fetcher("a")
	if second == first {
		t.Error("changed settings took no effect")
	}
	b.err = errors.New("the registry cannot be read")
	now = now.Add(time.Minute)
	if fetcher("a") != second {
		t.Error("a registry that cannot be read stopped a tenant that is known")
	}
	if _, err := tenants.Fetcher(t.Context(), "c"); !errors.Is(err, b.err) || errors.Is(err, fetch.ErrUnknownTenant) {
		t.Errorf("a tenant that was never looked up: %v", err)
	}
	b.err = nil
	b.versions["a"] = "suspended"
	if _, err := tenants.Fetcher(t.Context(), "a"); !errors.Is(err, fetch.ErrSuspended) {
		t.Errorf("suspended: %v", err)
	}
	if _, err := tenants.Fetcher(t.Context(), "c"); !errors.Is(err, fetch.ErrUnknownTenant) {
		t.Errorf("unknown: %v", err)
	}
}

// TestTenantsAreBounded: a process keeps a hundred tenants open, those used last.
func TestTenantsAreBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	b := &book{versions: map[string]string{}}
	tenants := fetch.NewTenants(b.lookup, func() time.Time { return now })
	for i := range 150 {
		id := fmt.Sprint(i)
		b.versions[id] = "1"
		if _, err := tenants.Fetcher(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Millisecond)
	}
	for id, opened := range map[string]int{"149": 150, "51": 150, "0": 151} {
		if _, err := tenants.Fetcher(t.Context(), id); err != nil || b.opened > 151 || b.opened < opened-1 {
			t.Errorf("tenant %s: %d opened, %v", id, b.opened, err)
		}
	}
	if b.opened != 151 {
		t.Errorf("%d opened, want 151", b.opened)
	}
}
