package tenant_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/internal/tenant"
)

const guid = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"

var t0 = time.Date(2026, 11, 25, 9, 0, 0, 123_456_789, time.FixedZone("", 3600))

func someTenant() tenant.Tenant { return tenant.New(tenant.Tenant{ID: guid, Name: "Contoso"}, t0) }

// TestValidate: every problem at once, by the name of the field, without the value.
func TestValidate(t *testing.T) {
	t.Parallel()
	if err := someTenant().Validate(); err != nil {
		t.Error(err)
	}
	for field, spoil := range map[string][]func(*tenant.Tenant){
		"id": {func(e *tenant.Tenant) { e.ID = strings.ToUpper(guid) }, func(e *tenant.Tenant) { e.ID = "" }},
		"name": {
			func(e *tenant.Tenant) { e.Name = "" }, func(e *tenant.Tenant) { e.Name = " x" },
			func(e *tenant.Tenant) { e.Name = strings.ToUpper(guid) }, func(e *tenant.Tenant) { e.Name = "a\x1b[31mb" },
			func(e *tenant.Tenant) { e.Name = strings.Repeat("ä", 61) }, func(e *tenant.Tenant) { e.Name = "\xff" },
		},
		"state":         {func(e *tenant.Tenant) { e.State = "asleep" }},
		"client-id":     {func(e *tenant.Tenant) { e.ClientID, e.Credential.Kind = "packhorse", tenant.Federated }},
		"legal-hold":    {func(e *tenant.Tenant) { e.LegalHold = "yes" }},
		"per-minute":    {func(e *tenant.Tenant) { e.PerMinute = -1 }},
		"lookback":      {func(e *tenant.Tenant) { e.Lookback = -time.Hour }},
		"created-at":    {func(e *tenant.Tenant) { e.CreatedAt = time.Time{} }},
		"case-pattern":  {func(e *tenant.Tenant) { e.CasePattern = strings.Repeat("x", 9<<10) }},
		"ca-pem":        {func(e *tenant.Tenant) { e.CAPEM = strings.Repeat("x", 33<<10) }},
		"authority-url": nil,
		"credential": {
			func(e *tenant.Tenant) { e.Credential.Kind = "password" },
			func(e *tenant.Tenant) { e.Credential.SecretID = "secret" },
			func(e *tenant.Tenant) { e.ClientID = guid },                    // with the stack's secret
			func(e *tenant.Tenant) { e.AuthorityURL = "https://evil.test" }, // likewise
		},
	} {
		for i, spoil := range spoil {
			e := someTenant()
			spoil(&e)
			err := e.Validate()
			var invalid *tenant.Error
			if !errors.As(err, &invalid) || !errors.Is(err, tenant.ErrInvalid) || len(invalid.Problems) != 1 ||
				invalid.Problems[0].Field != field || !strings.HasPrefix(invalid.Problems[0].Text, "want ") {
				t.Errorf("%s %d: got %v", field, i, err)
			}
		}
	}
	err := tenant.Tenant{ID: "x", Name: "\x00secret~value", State: "y", LegalHold: "z"}.Validate()
	if err == nil || !strings.HasPrefix(err.Error(), `tenant "x": 6 fields are wrong:`) || strings.Contains(err.Error(), "secret~") {
		t.Errorf("got %v", err)
	}
}

// TestTransitions: a state, its time, and nothing else.
func TestTransitions(t *testing.T) {
	t.Parallel()
	e := someTenant()
	if e.State != tenant.Active || e.CreatedAt != e.ChangedAt || e.CreatedAt.Location() != time.UTC ||
		e.CreatedAt.Nanosecond() != 123_000_000 {
		t.Errorf("got %+v", e)
	}
	e.Version = "1"
	later := t0.Add(time.Hour)
	suspended := e.Suspended(later)
	want := e
	want.State, want.ChangedAt = tenant.Suspended, e.CreatedAt.Add(time.Hour)
	if suspended != want {
		t.Errorf("got %+v", suspended)
	}
	if again := suspended.Suspended(later.Add(time.Hour)); again != suspended {
		t.Errorf("suspended twice: %+v", again)
	}
	if again := e.Resumed(later); again != e {
		t.Errorf("an active one resumed: %+v", again)
	}
	resumed := suspended.Resumed(later)
	want.State = tenant.Active
	if resumed != want {
		t.Errorf("got %+v", resumed)
	}
}

// TestReplaced: what a person chooses changes, what the registry knows stays.
func TestReplaced(t *testing.T) {
	t.Parallel()
	e := someTenant().Suspended(t0)
	e.Version, e.PerHour = "1", 7
	later := t0.Add(time.Hour)
	by := tenant.New(tenant.Tenant{ID: guid, Name: "Fabrikam", Lookback: 96 * time.Hour}, later)
	want := e
	want.Name, want.Lookback, want.PerHour, want.ChangedAt = "Fabrikam", 96*time.Hour, 0, by.ChangedAt
	if got := e.Replaced(by, later); got != want {
		t.Errorf("got %+v", got)
	}
	if same := e.Replaced(e, later); same != e {
		t.Errorf("replaced by itself: %+v", same)
	}
}

// TestStored: what is not text-like enough is named, and quoted nowhere.
func TestStored(t *testing.T) {
	t.Parallel()
	fields := someTenant().Fields()
	fields["newer"], fields["per-hour"], fields["lookback"] = "x", "many~", "long~"
	_, err := tenant.Stored(guid, "1", fields)
	for _, words := range []string{guid, "per-hour: want a whole number", "lookback: want a duration"} {
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "~") {
			t.Errorf("got %v, want %q", err, words)
		}
	}
	for range 20 { // the order of the problems does not change
		if _, again := tenant.Stored(guid, "1", fields); fmt.Sprint(again) != fmt.Sprint(err) {
			t.Fatalf("got %v, then %v", err, again)
		}
	}
}
