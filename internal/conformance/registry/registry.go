// Package registry is the conformance suite for registries of tenants: round trip, conditional writes, fields of a
// newer release, damage and order. Call [Run] from the test of an implementation.
package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/tenant"
)

// Registry is what the functions and the operator's commands need from a registry.
type Registry interface {
	// List returns every valid entry, in order of the ids. If some entries are malformed, it returns the others
	// beside an error that names each and wraps tenant.ErrInvalid.
	List(ctx context.Context) ([]tenant.Tenant, error)
	// Get returns the entry of a tenant, by a consistent read, or the zero Tenant if it is not registered. The error
	// wraps tenant.ErrInvalid if the entry is malformed.
	Get(ctx context.Context, id string) (tenant.Tenant, error)
	// Put stores an entry over the version that it carries; an empty version means that there must not be one. It
	// returns the entry with its new version, keeps stored fields that it does not know, and writes nothing if the
	// error wraps tenant.ErrConflict or tenant.ErrInvalid.
	Put(ctx context.Context, t tenant.Tenant) (tenant.Tenant, error)
	// Delete removes an entry that still has the version it carries. One that was removed already, perhaps by an attempt
	// whose answer was lost, is no conflict. Otherwise the error wraps tenant.ErrConflict.
	Delete(ctx context.Context, t tenant.Tenant) error
}

// Store is an empty registry, opened twice (or the same one twice).
type Store struct {
	One, Other Registry
	// Spoil sets a field of a stored entry without any check, and Field returns one as text, or "".
	Spoil func(t *testing.T, id, field, value string)
	Field func(t *testing.T, id, field string) string
}

var t0 = time.Date(2026, 11, 25, 9, 0, 0, 123_000_000, time.UTC)

// Run tests a registry. Every subtest calls open once, for an empty one.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, Store)
	}{
		{"every field comes back", testRoundTrip},
		{"an empty registry", testEmpty},
		{"nothing is written over another version", testVersions},
		{"an invalid entry is not written", testInvalid},
		{"many add one tenant, one wins", testRacingAdds},
		{"many change one tenant, none is lost", testRacingChanges},
		{"fields of a newer release are kept", testUnknownFields},
		{"a malformed entry does not hide the others", testDamage},
		{"many entries, in order", testOrder},
		{"a cancelled context changes nothing", testCancelled},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t)) })
	}
}

// ID returns the tenant id of a number.
func ID(i int) string { return fmt.Sprintf("0b1c2d3e-4f50-4617-8293-%012x", i) }

// entry returns an entry with the fewest fields.
func entry(i int) tenant.Tenant {
	return tenant.New(tenant.Tenant{ID: ID(i), Name: fmt.Sprintf("customer %d", i)}, t0)
}

// full returns an entry with a value in every field. Not all of them make sense together.
func full(i int) tenant.Tenant {
	t := entry(i)
	t.State, t.ClientID = tenant.Suspended, ID(4711)
	t.Cloud, t.APIURL, t.AuthorityURL = "gcc-high", "https://api.test", "https://login.test"
	t.Scope, t.LinkHosts, t.CAPEM = "https://api.test/.default", "a.test,.b.test", "-----BEGIN\nCERTIFICATE-----\n"
	t.Credential = tenant.Credential{
		Kind: tenant.Certificate, IdentityRole: "role", CertificateFile: "file", CertificateSecretID: "secret",
		CertificateKeyID: "key", CertificatePEM: "pem", SecretID: "id", SecretFile: "other",
	}
	t.PerMinute, t.PerHour, t.Lookback = 1, 60, 97*time.Hour+30*time.Minute
	t.CasePattern, t.Bucket, t.Prefix = `\bÄ-(\d+)`, "their-evidence", "theirs/"
	t.LockMode, t.LockDays, t.LegalHold = "COMPLIANCE", 3650, "true"
	t.ChangedAt = t0.Add(time.Hour)
	return t
}

func (s Store) put(t *testing.T, e tenant.Tenant) tenant.Tenant {
	t.Helper()
	stored, err := s.One.Put(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	version := stored.Version
	stored.Version = e.Version
	if stored != e || version == "" || version == e.Version {
		t.Fatalf("stored %+v with version %q, want %+v", stored, version, e)
	}
	stored.Version = version
	s.holds(t, stored)
	return stored
}

// holds fails unless both registries return exactly this entry.
func (s Store) holds(t *testing.T, want tenant.Tenant) {
	t.Helper()
	for _, r := range []Registry{s.One, s.Other} {
		if got, err := r.Get(t.Context(), want.ID); err != nil || got != want {
			t.Fatalf("got\n%+v, %v, want\n%+v", got, err, want)
		}
	}
}

func testRoundTrip(t *testing.T, s Store) {
	least, most := s.put(t, entry(1)), s.put(t, full(2))
	if got := full(2).Fields(); len(got) != len(tenant.FieldNames()) {
		t.Fatalf("the full entry has %d of %d fields", len(got), len(tenant.FieldNames()))
	}
	all, err := s.Other.List(t.Context())
	if err != nil || !slices.Equal(all, []tenant.Tenant{least, most}) {
		t.Errorf("got %+v, %v", all, err)
	}
	bare := most // a field that is emptied does not come back
	bare.Credential, bare.ClientID, bare.AuthorityURL, bare.PerMinute, bare.Lookback = tenant.Credential{}, "", "", 0, 0
	s.put(t, bare)
	s.holds(t, least)
}

func testEmpty(t *testing.T, s Store) {
	if all, err := s.One.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
	if got, err := s.One.Get(t.Context(), ID(1)); err != nil || got != (tenant.Tenant{}) {
		t.Errorf("got %+v, %v", got, err)
	}
	conflict(t, s.One.Delete(t.Context(), entry(1)))
}

func conflict(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, tenant.ErrConflict) || !strings.Contains(err.Error(), ID(1)) {
		t.Errorf("got %v, want a conflict about %s", err, ID(1))
	}
}

func testVersions(t *testing.T, s Store) {
	put := func(e tenant.Tenant) error {
		_, err := s.Other.Put(t.Context(), e)
		return err
	}
	first := s.put(t, entry(1))
	conflict(t, put(entry(1))) // it exists
	second := s.put(t, first.Suspended(t0.Add(time.Hour)))
	conflict(t, put(first)) // it was changed
	conflict(t, s.Other.Delete(t.Context(), first))
	conflict(t, s.Other.Delete(t.Context(), entry(1)))
	s.holds(t, second)
	if err := s.Other.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	s.lacks(t)
	conflict(t, put(second)) // it was removed
	if err := s.One.Delete(t.Context(), second); err != nil {
		t.Errorf("again: %v", err)
	}
	conflict(t, s.One.Delete(t.Context(), entry(1)))
	s.lacks(t)
	s.put(t, entry(1))
}

// lacks fails unless tenant 1 is not registered.
func (s Store) lacks(t *testing.T) {
	t.Helper()
	for _, r := range []Registry{s.One, s.Other} {
		if got, err := r.Get(t.Context(), ID(1)); err != nil || got != (tenant.Tenant{}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func testInvalid(t *testing.T, s Store) {
	for name, spoil := range map[string]func(*tenant.Tenant){
		"no name":         func(e *tenant.Tenant) { e.Name = "" },
		"another's id":    func(e *tenant.Tenant) { e.ID = strings.ToUpper(e.ID) },
		"no state":        func(e *tenant.Tenant) { e.State = "" },
		"no time":         func(e *tenant.Tenant) { e.CreatedAt = time.Time{} },
		"an unknown kind": func(e *tenant.Tenant) { e.Credential.Kind = "password" },
	} {
		e := entry(0xabc)
		spoil(&e)
		if _, err := s.One.Put(t.Context(), e); !errors.Is(err, tenant.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if all, err := s.One.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %+v, %v", all, err)
	}
}

func testUnknownFields(t *testing.T, s Store) {
	stored := s.put(t, entry(1))
	s.Spoil(t, stored.ID, "newer", "value \"of\" a newer release")
	s.holds(t, stored)
	s.put(t, stored.Suspended(t0.Add(time.Hour)))
	if got := s.Field(t, stored.ID, "newer"); got != "value \"of\" a newer release" {
		t.Errorf("the field became %q", got)
	}
}

func testDamage(t *testing.T, s Store) {
	for i := range 3 {
		s.put(t, entry(i))
	}
	want, err := s.One.Get(t.Context(), ID(2))
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]string{
		tenant.FieldState: "asleep", tenant.FieldName: "", tenant.FieldPerMinute: "two", tenant.FieldLookback: "a week",
		tenant.FieldCreatedAt: "yesterday", tenant.FieldCredential: "password", "version": "",
	} {
		good := s.Field(t, ID(1), field)
		s.Spoil(t, ID(1), field, value)
		_, getErr := s.One.Get(t.Context(), ID(1))
		all, listErr := s.Other.List(t.Context())
		for _, err := range []error{getErr, listErr} {
			if !errors.Is(err, tenant.ErrInvalid) || !strings.Contains(err.Error(), ID(1)) ||
				!strings.Contains(err.Error(), field) {
				t.Errorf("%s: got %v", field, err)
			}
		}
		if len(all) != 2 || all[1] != want {
			t.Errorf("%s: the others are %+v", field, all)
		}
		s.Spoil(t, ID(1), field, good)
	}
	if all, err := s.One.List(t.Context()); err != nil || len(all) != 3 {
		t.Errorf("mended: %d, %v", len(all), err)
	}
}

func testOrder(t *testing.T, s Store) {
	const entries = 60
	text := rand.Text()
	for i := range entries {
		e := entry((i * 37) % entries)
		e.CasePattern = strings.Repeat(text, 300) // so that several pages are needed
		if _, err := s.One.Put(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	all, err := s.Other.List(t.Context())
	if err != nil || len(all) != entries {
		t.Fatalf("got %d, %v", len(all), err)
	}
	for i, e := range all {
		if e.ID != ID(i) {
			t.Errorf("entry %d is %s", i, e.ID)
		}
	}
}

func testCancelled(t *testing.T, s Store) {
	stored := s.put(t, entry(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, listErr := s.One.List(ctx)
	_, getErr := s.One.Get(ctx, ID(1))
	_, putErr := s.One.Put(ctx, stored.Suspended(t0.Add(time.Hour)))
	for _, err := range []error{listErr, getErr, putErr, s.One.Delete(ctx, stored)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	s.holds(t, stored)
}
