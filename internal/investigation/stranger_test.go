package investigation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

func TestPlaces(t *testing.T) {
	for key, places := range map[string][]string{
		"p/t/m/s_a.zip":      {"p/t/m/s_a.zip", "p/t/m/s_a~1.zip", "p/t/m/s_a~2.zip"},
		"p/t/m/s_a.json":     {"p/t/m/s_a.json", "p/t/m/s_a~1.json"},
		"p/t/m/s_a.json.sig": {"p/t/m/s_a.json.sig", "p/t/m/s_a.json~1.sig"},
		"signing-keys/k.pem": {"signing-keys/k.pem", "signing-keys/k~1.pem"},
		"p~q/t/m/s_a.zip":    {"p~q/t/m/s_a.zip", "p~q/t/m/s_a~1.zip"},
	} {
		for n, want := range places {
			if got := investigation.Place(key, n); got != want {
				t.Errorf("place %d of %s: got %s, want %s", n, key, got, want)
			}
			if got, ok := investigation.PlaceOf(key, want); !ok || got != n {
				t.Errorf("%s: got %d, %t, want place %d of %s", want, got, ok, n, key)
			}
			if !strings.HasPrefix(want, investigation.PlacesPrefix(key)) {
				t.Errorf("%s does not begin with %s", want, investigation.PlacesPrefix(key))
			}
			base, got, ok := investigation.BaseOf(want)
			if ok != (n > 0) || ok && (base != key || got != n) {
				t.Errorf("%s: got %s, %d, %t", want, base, got, ok)
			}
		}
	}
	for _, other := range []string{
		"", "a.zip", "s_a~.zip", "s_a~0.zip", "s_a~01.zip", "s_a~-1.zip", "s_a~+1.zip", "s_a~1.zip.zip", "s_a~1~2.zip",
		"s_a~10000.zip", "s_a~1.bin", "s_a~1 .zip", "s_b~1.zip", "s_ab.zip",
	} {
		if n, ok := investigation.PlaceOf("s_a.zip", other); ok {
			t.Errorf("%q was taken for place %d", other, n)
		}
	}
}

// Strangers names each stranger once and at most eight, and counts the others, no matter how often they
// are found.
func TestStrangers(t *testing.T) {
	var crowd []investigation.Stranger
	for n := range 20 {
		crowd = append(crowd, investigation.Stranger{
			Key: fmt.Sprintf("k~%d.zip", n), VersionID: "v", Size: int64(n), FoundAt: t0, Note: "\x1b[31m<é>\n",
		})
	}
	var s investigation.Strangers
	for range 3 {
		s = s.Add(crowd...)
	}
	want := slices.Clone(crowd[:8])
	for i := range want {
		want[i].FoundAt = t0.Truncate(time.Millisecond).UTC()
	}
	if !slices.Equal(s.List(), want) || s.More() != 12 || !s.Valid() || !s.Has(crowd[7]) || s.Has(crowd[8]) {
		t.Errorf("got %s", s)
	}
	again := crowd[0]
	again.VersionID = "w"
	few := investigation.Strangers("").Add(again)
	merged := few.Merge(s)
	if len(merged.List()) != 8 || merged.List()[0].VersionID != "w" || merged.More() != 12 || few.Merge("") != few ||
		investigation.Strangers("").Merge(few) != few {
		t.Errorf("got %s", merged)
	}
	if s := investigation.Strangers(""); s.Add() != "" || !s.Valid() || s.Has(investigation.Stranger{}) {
		t.Error("an empty owner was taken for a claim")
	}
	for _, bad := range []investigation.Strangers{"x", "{}", "[]", `{"named":[]}`, `{"named":3}`} {
		if bad.Valid() || len(bad.List()) > 0 {
			t.Errorf("%s was taken for a list of strangers", bad)
		}
	}
}

// A record keeps the names of its claims: an object without one of them is not ours. It drops the name
// of a claim that sent nothing.
func TestClaims(t *testing.T) {
	var c investigation.Claims
	for n := range 40 {
		c = c.Add(fmt.Sprintf("owner-%d", n))
	}
	if c.Has("owner-7") || !c.Has("owner-8") || !c.Has("owner-39") || c.Has("owner-3") || c.Has("") ||
		c.Has("owner-8 owner-9") {
		t.Errorf("got %s", c)
	}
	if without := c.Without("owner-9"); without.Has("owner-9") || !without.Has("owner-8") || !without.Has("owner-10") {
		t.Errorf("got %s", without)
	}

	r := in(t, investigation.StateReady)
	claimed, err := investigation.Claim("ada", t0, t0.Add(time.Minute)).Apply(r)
	if err != nil || claimed.Claims != "ada" || claimed.HasUnnamedClaims() {
		t.Errorf("got %+v, %v", claimed, err)
	}
	for charge, want := range map[investigation.Charge]investigation.Claims{
		investigation.ChargeAttempt: "ada", investigation.ChargeLink: "ada", investigation.ChargeNothing: "",
	} {
		giveBack := investigation.GiveBack("ada", investigation.Release{At: t0, DueAt: t0, Charge: charge})
		released, err := giveBack.Apply(claimed)
		if err != nil || released.Claims != want || released.HasUnnamedClaims() {
			t.Errorf("charge %d: got %+v, %v", charge, released, err)
		}
	}
	r.Attempts = 1 // by a release that named no claims
	claimed, err = investigation.Claim("ada", t0, t0.Add(time.Minute)).Apply(r)
	if err != nil || !claimed.HasUnnamedClaims() {
		t.Errorf("got %+v, %v", claimed, err)
	}
}

func TestCovers(t *testing.T) {
	governance := investigation.Retention{Mode: "GOVERNANCE", Until: t0}
	for name, test := range map[string]struct {
		has, wanted investigation.Retention
		want        bool
	}{
		"nothing wanted":       {investigation.Retention{}, investigation.Retention{}, true},
		"the same":             {governance, governance, true},
		"a stricter mode":      {investigation.Retention{Mode: "COMPLIANCE", Until: t0}, governance, true},
		"a laxer mode":         {governance, investigation.Retention{Mode: "COMPLIANCE", Until: t0}, false},
		"no mode":              {investigation.Retention{LegalHold: true}, governance, false},
		"an earlier end":       {governance, investigation.Retention{Mode: "GOVERNANCE", Until: t0.Add(1)}, false},
		"a hold is missing":    {governance, investigation.Retention{LegalHold: true}, false},
		"a hold more than due": {investigation.Retention{LegalHold: true}, investigation.Retention{}, true},
	} {
		if got := test.has.Covers(test.wanted); got != test.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
