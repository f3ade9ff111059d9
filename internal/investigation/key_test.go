package investigation_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

func TestCanonicalID(t *testing.T) {
	const guid = "0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9"
	const sha1 = "0123456789abcdef0123456789abcdef01234567"
	tests := []struct {
		name, given, want string // want empty: refused
	}{
		{"a GUID", guid, guid},
		{"a GUID in capitals", strings.ToUpper(guid), guid},
		{"40 hexadecimal digits", sha1, sha1},
		{"40 in capitals", strings.ToUpper(sha1), sha1},
		{"empty", "", ""},
		{"39 digits", sha1[1:], ""},
		{"41 digits", sha1 + "0", ""},
		{"32 digits, a GUID without hyphens", strings.ReplaceAll(guid, "-", ""), ""},
		{"a GUID in braces", "{" + guid + "}", ""},
		{"a line break after it", guid + "\n", ""},
		{"white space before it", " " + guid, ""},
		{"a path", "../" + guid, ""},
		{"a path inside", guid[:30] + "/../aa", ""},
		{"a backslash", guid[:35] + `\`, ""},
		{"a NUL", guid[:35] + "\x00", ""},
		{"not hexadecimal", guid[:35] + "g", ""},
		{"full-width digits", strings.Repeat("０", 40), ""},
		{"Arabic-Indic digits", guid[:35] + "٣", ""},
		{"a letter that is lower case elsewhere", guid[:35] + "\u212a", ""}, // Kelvin sign
		{"bytes that are no UTF-8", guid[:35] + "\xff", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := investigation.CanonicalID(tt.given)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestCanonicalIDQuotesLittle(t *testing.T) {
	_, err := investigation.CanonicalID(strings.Repeat("x", 10_000))
	if err == nil || len(err.Error()) > 200 {
		t.Errorf("got %v, want a short error", err)
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*investigation.Action)
		words  string // empty: accepted
	}{
		{"good", func(*investigation.Action) {}, ""},
		{"a GUID for a machine", func(a *investigation.Action) { a.MachineID = action }, ""},
		{"an action of 40 digits", func(a *investigation.Action) { a.ActionID = machine }, ""},
		{"no tenant", func(a *investigation.Action) { a.TenantID = "" }, "tenant id"},
		{"no action", func(a *investigation.Action) { a.ActionID = "" }, "action id"},
		{"no machine", func(a *investigation.Action) { a.MachineID = "" }, "machine id"},
		{"a capital", func(a *investigation.Action) { a.ActionID = strings.Repeat("A", 40) },
			"not in canonical form"},
		{"a machine called ..", func(a *investigation.Action) { a.MachineID = ".." }, "machine id"},
		{"no creation time", func(a *investigation.Action) { a.CreatedAt = time.Time{} },
			"out of range"},
		{"before Defender", func(a *investigation.Action) {
			a.CreatedAt = time.Date(2015, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
		}, "out of range"},
		{"the first year", func(a *investigation.Action) {
			a.CreatedAt = time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)
		}, ""},
		{"the first year, but not in UTC", func(a *investigation.Action) {
			a.CreatedAt = time.Date(2016, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
		}, "out of range"},
		{"a year of five digits", func(a *investigation.Action) {
			a.CreatedAt = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		}, "out of range"},
		{"never updated", func(a *investigation.Action) { a.LastUpdatedAt = time.Time{} }, ""},
		{"updated at the epoch", func(a *investigation.Action) { a.LastUpdatedAt = time.Unix(0, 0) }, ""},
		{"updated in a year of five digits, in UTC", func(a *investigation.Action) {
			a.LastUpdatedAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))
		}, "last update"},
		{"updated in the year 0", func(a *investigation.Action) {
			a.LastUpdatedAt = time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)
		}, "last update"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := seen(investigation.StatusSucceeded)
			tt.change(&a)
			err := a.Validate()
			_, keyErr := investigation.KeyOf("packages/", a)
			if (err == nil) != (keyErr == nil) {
				t.Errorf("Validate says %v, KeyOf %v", err, keyErr)
			}
			if tt.words == "" {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			if !errors.Is(err, investigation.ErrBadAction) || !errors.Is(keyErr, investigation.ErrBadAction) ||
				!strings.Contains(err.Error(), tt.words) {
				t.Errorf("got %v and %v, want ErrBadAction with %q", err, keyErr, tt.words)
			}
		})
	}
}

func TestKeyOf(t *testing.T) {
	a := seen(investigation.StatusSucceeded)
	a.CreatedAt = time.Date(2026, 3, 4, 23, 5, 6, 987_654_300, time.FixedZone("", -3600))
	got, err := investigation.KeyOf("packages/", a)
	want := investigation.Key("packages/" + tenant + "/" + machine + "/20260305T000506Z_" + action + ".zip")
	if err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
	if got, want := got.Manifest(), strings.TrimSuffix(string(want), ".zip")+".json"; got != want {
		t.Errorf("manifest: got %q, want %q", got, want)
	}

	const stem = tenant + "/" + machine + "/20260305T000506Z_" + action
	kept, err := investigation.QuarantineKeyOf(a)
	if want := "quarantine/" + stem; err != nil || string(kept) != want+".bin" ||
		kept.Manifest() != want+".json" {
		t.Errorf("quarantine: got %q with %q, %v", kept, kept.Manifest(), err)
	}
	if lost, err := investigation.NotCollectedKeyOf(a); err != nil || lost != "not-collected/"+stem+".json" {
		t.Errorf("not collected: got %q, %v", lost, err)
	}
	if got := investigation.SignatureKey(kept.Manifest()); got != "quarantine/"+stem+".json.sig" {
		t.Errorf("signature: got %q", got)
	}
	if got := investigation.Key("").Manifest(); got != "" {
		t.Errorf("the empty key has the manifest %q", got)
	}

	// Facts that can change do not affect the key.
	b := a
	b.ComputerDNSName, b.Requestor, b.RequestorComment = "../x", "y/z", "…"
	b.Status, b.LastUpdatedAt = investigation.StatusFailed, t0
	if again, err := investigation.KeyOf("packages/", b); err != nil || again != got {
		t.Errorf("got %q, %v; want %q", again, err, got)
	}
}

func TestValidatePrefix(t *testing.T) {
	long := strings.Repeat("a", 511) + "/"
	tests := []struct {
		prefix string
		good   bool
	}{
		{"", true},
		{"packages/", true},
		{"a/b/c/", true},
		{"Tenant-1_x.y/", true},
		{"...a/", true},
		{"!*'()/", true},
		{long, true},
		{"a" + long, false},
		{"packages", false},
		{"/", false},
		{"/packages/", false},
		{"a//b/", false},
		{"./", false},
		{"../", false},
		{"a/../b/", false},
		{"a/./", false},
		{"a b/", false},
		{"a\n/", false},
		{"packages/\n", false},
		{`a\b/`, false},
		{"ä/", false},
		{"%2e%2e/", false},
		{"a?b/", false},
		{"a#/", false},
		{"\x00/", false},
		{"s3://bucket/", false},
		{"not-collected/", false},
		{"quarantine/x/", false},
		{"signing-keys/", false},
		{"x/quarantine/", true},
	}
	for _, tt := range tests {
		err := investigation.ValidatePrefix(tt.prefix)
		if (err == nil) != tt.good || (err != nil && !errors.Is(err, investigation.ErrBadPrefix)) {
			t.Errorf("%.40q: got %v, want good = %t", tt.prefix, err, tt.good)
		}
		_, keyErr := investigation.KeyOf(tt.prefix, seen(investigation.StatusSucceeded))
		if (keyErr == nil) != tt.good || (keyErr != nil && !errors.Is(keyErr, investigation.ErrBadPrefix)) {
			t.Errorf("key with %.40q: got %v, want good = %t", tt.prefix, keyErr, tt.good)
		}
	}
}

// keyForm is the form of every key, stated independently of the code.
var keyForm = regexp.MustCompile(`^([A-Za-z0-9!_.*'()-]+/)*` +
	`([0-9a-f-]{36}|[0-9a-f]{40})/([0-9a-f-]{36}|[0-9a-f]{40})/` +
	`[0-9]{8}T[0-9]{6}Z_([0-9a-f-]{36}|[0-9a-f]{40})\.zip$`)

// keyBytesMax is S3's limit.
const keyBytesMax = 1024

// Every accepted action gives a key that no store and no shell can misread.
func FuzzKey(f *testing.F) {
	f.Add("packages/", tenant, machine, action, int64(1_790_000_000))
	f.Add("", tenant, action, machine, int64(1_451_606_400))
	f.Add(strings.Repeat("a", 511)+"/", machine, machine, machine, int64(253_402_300_799))
	f.Add("../", tenant, machine, action, int64(0))
	f.Add("a/", "..", "../..", "/etc/passwd", int64(-62_135_596_800))
	f.Add("a/", strings.ToUpper(tenant), machine, action+"\n", int64(1_790_000_000))
	f.Fuzz(func(t *testing.T, prefix, tenantID, machineID, actionID string, created int64) {
		a := investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: actionID},
			MachineID: machineID, CreatedAt: time.Unix(created, 0),
		}
		key, err := investigation.KeyOf(prefix, a)
		if err != nil {
			if key != "" {
				t.Errorf("got both an error and the key %q", key)
			}
			if !errors.Is(err, investigation.ErrBadAction) && !errors.Is(err, investigation.ErrBadPrefix) {
				t.Errorf("got %v, want ErrBadAction or ErrBadPrefix", err)
			}
			return
		}
		for _, name := range []string{string(key), key.Manifest()} {
			zip := strings.TrimSuffix(strings.TrimSuffix(name, ".zip"), ".json") + ".zip"
			if !keyForm.MatchString(zip) || len(name) > keyBytesMax {
				t.Errorf("accepted %q", name)
			}
			for segment := range strings.SplitSeq(name, "/") {
				if segment == ".." || segment == "." || segment == "" {
					t.Errorf("accepted %q with segment %q", name, segment)
				}
			}
		}
		kept, keptErr := investigation.QuarantineKeyOf(a)
		lost, lostErr := investigation.NotCollectedKeyOf(a)
		if keptErr != nil || lostErr != nil || kept.Manifest() == lost || key.Manifest() == lost ||
			key.Manifest() == kept.Manifest() {
			t.Errorf("%q, %q and %q collide: %v, %v", key, kept, lost, keptErr, lostErr)
		}
		if key.Manifest() == string(key) {
			t.Errorf("the manifest of %q would replace it", key)
		}
	})
}

func TestIDString(t *testing.T) {
	id := investigation.ID{TenantID: tenant, ActionID: action}
	if got, want := id.String(), tenant+"#"+action; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
