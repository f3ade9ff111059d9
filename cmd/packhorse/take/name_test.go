package take_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/take"
	"packhorse/internal/manifest"
	"packhorse/internal/racing"
)

func action(host, id string) manifest.Manifest {
	return manifest.Manifest{Action: manifest.Action{
		ID: id, ComputerDNSName: host, MachineID: "0123456789abcdef", CreatedAt: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC),
	}}
}

// safe is a name that every file system takes, no shell changes and no program takes for an option.
var safe = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9]$`)

func TestSafeHost(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"fin-ws-17.contoso.com": "fin-ws-17.contoso.com", "": "host", ".": "host", "..": "host", "../../etc/passwd": "etc-passwd",
		`C:\Windows\x`: "C-Windows-x", "-rf": "rf", "a\x1b[2Jb\n\x00c": "a-2Jb-c", "con": "host-con", "CON.corp": "host-CON.corp",
		"nul.contoso.com": "host-nul.contoso.com", "lpt1": "host-lpt1", "contoso": "contoso", "漢字": "host", "ünï": "n",
		"$(reboot)`id`": "reboot-id", "a/b\\c:d*e?f\"g<h>i|j": "a-b-c-d-e-f-g-h-i-j", "a..b": "a.b", "x. ": "x",
		"a_b": "a-b", strings.Repeat("a", 300): strings.Repeat("a", 63), "\u202egpj.exe": "gpj.exe", "%2e%2e%2f": "2e-2e-2f",
	} {
		if got := take.SafeHost(host); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func FuzzNames(f *testing.F) {
	f.Add("../../x", "5382f7ea-7557-4ab7-9782-d50480024a4e")
	f.Add("con", "x/../y")
	f.Add("a\x00", "")
	f.Fuzz(func(t *testing.T, host, id string) {
		var names take.Names
		name := names.Of("packages", action(host, id), "1")
		if !safe.MatchString(strings.TrimRight(name, "_-")) || strings.Contains(name, "..") || len(name) > 63+2+16+256+len(id) {
			t.Errorf("%q, %q: %q", host, id, name)
		}
		if again := names.Of("packages", action(host, id), "1"); again != name {
			t.Errorf("%q became %q", name, again)
		}
	})
}

// TestNames: every manifest has its own name, also where names that differ only in case are the same.
func TestNames(t *testing.T) {
	t.Parallel()
	var names take.Names
	id := "5382f7ea-7557-4ab7-9782-d50480024a4e"
	for i, step := range []struct {
		folder, host, id, digest, want string
	}{
		{"packages", "ws", id, "1", "ws_20260304T050607Z_5382f7ea"},
		{"packages", "ws", id, "1", "ws_20260304T050607Z_5382f7ea"},
		{"packages", "WS", id, "2", "WS_20260304T050607Z_" + id},
		{"packages", "ws", id, "3", "ws_20260304T050607Z_" + id + "-2"},
		{"packages", "ws", "5382f7ea-0000-4ab7-9782-d50480024a4e", "4", "ws_20260304T050607Z_5382f7ea-0000-4ab7-9782-d50480024a4e"},
		{"quarantine", "ws", id, "5", "ws_20260304T050607Z_5382f7ea"},
		{"packages", "", id, "6", "0123456789abcdef_20260304T050607Z_5382f7ea"},
	} {
		if got := names.Of(step.folder, action(step.host, step.id), step.digest); got != step.want {
			t.Errorf("step %d: got %q, want %q", i, got, step.want)
		}
	}
	seen := map[string]bool{}
	for i := range racing.Size(3000, 300) { // of one host, in one second
		name := names.Of("packages", action("many", id), fmt.Sprint("many", i))
		if seen[strings.ToLower(name)] {
			t.Fatalf("%q was given twice", name)
		}
		seen[strings.ToLower(name)] = true
	}
}
