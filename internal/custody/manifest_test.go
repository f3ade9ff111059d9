package custody_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/internal/custody"
	"packhorse/internal/investigation"
)

var update = flag.Bool("update", false, "write the golden files anew; look at the difference!")

// golden compares got with a file of testdata, byte by byte.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// hostile is what a requestor can put into a comment.
const hostile = "</script><script>alert(1)</script> \"quoted\" \\back\\ \x1b[2J \x00 \u2028 \u202e ' OR 1=1 -- " +
	"${jndi:ldap://x} {{7*7}} =cmd|' /C calc'!A0 \r\n,\"version\": \"2\" Ünï © 漢字 \U0001f40e"

// archived is a record as a fetch leaves it behind, with its receipt.
func archived() (investigation.Record, investigation.Receipt) {
	createdAt := time.Date(2026, 3, 4, 5, 6, 7, 891_234_500, time.UTC)
	receipt := investigation.Receipt{
		Bucket: "contoso-evidence",
		Key: "packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/" +
			"0123456789abcdef0123456789abcdef01234567/" +
			"20260304T050607Z_5382f7ea-7557-4ab7-9782-d50480024a4e.zip",
		VersionID: "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
		Size:      5_368_709_121,
		SHA256:    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		CRC32C:    "yZRlqg==",
	}
	return investigation.Record{
		Action: investigation.Action{
			ID: investigation.ID{
				TenantID: "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
				ActionID: "5382f7ea-7557-4ab7-9782-d50480024a4e",
			},
			MachineID:        "0123456789abcdef0123456789abcdef01234567",
			ComputerDNSName:  "fin-ws-17.contoso.com",
			Requestor:        "a.lindqvist@contoso.com",
			RequestorComment: "INC-4711 suspicious PowerShell",
			RequestSource:    "Portal",
			Status:           investigation.StatusSucceeded,
			CreatedAt:        createdAt,
			LastUpdatedAt:    createdAt.Add(9 * time.Minute),
		},
		State: investigation.StateFetching, Attempts: 3, ExpiredLinks: 1, Owner: "worker-1",
		LeaseUntil: createdAt.Add(time.Hour), DueAt: createdAt.Add(time.Hour),
		Lane:       investigation.LaneLive,
		Message:    "the download host answered 500 to https://x.blob.core.windows.net/p?sig=canary",
		ObservedAt: createdAt.Add(10 * time.Minute),
	}, receipt
}

func manifest(t *testing.T, rec investigation.Record, receipt investigation.Receipt) []byte {
	t.Helper()
	text, err := custody.Manifest(rec, receipt)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGolden(t *testing.T) {
	rec, receipt := archived()
	golden(t, "manifest.json", manifest(t, rec, receipt))

	rec.RequestorComment = hostile
	golden(t, "manifest_hostile.json", manifest(t, rec, receipt))

	bare := investigation.Record{Action: investigation.Action{
		ID: rec.ID, MachineID: rec.MachineID, CreatedAt: rec.CreatedAt,
		Status: investigation.StatusSucceeded,
	}}
	receipt.VersionID = ""
	golden(t, "manifest_bare.json", manifest(t, bare, receipt))
}

// TestStable: a fetcher that makes the manifest again after a crash must not find that it differs.
// Only facts of the action and the object count, not how often it was tried, by whom, and when.
func TestStable(t *testing.T) {
	t.Parallel()
	rec, receipt := archived()
	want := manifest(t, rec, receipt)
	zone := time.FixedZone("elsewhere", -5*3600)
	for name, change := range map[string]func(*investigation.Record){
		"again":      func(*investigation.Record) {},
		"attempts":   func(r *investigation.Record) { r.Attempts, r.ExpiredLinks = 9, 4 },
		"owner":      func(r *investigation.Record) { r.Owner, r.LeaseUntil = "worker-2", time.Time{} },
		"message":    func(r *investigation.Record) { r.Message = "" },
		"first seen": func(r *investigation.Record) { r.ObservedAt = time.Time{} },
		"state":      func(r *investigation.Record) { r.State = investigation.StateDone },
		"archived":   func(r *investigation.Record) { r.ArchivedAt = r.CreatedAt.Add(time.Hour) },
		"due":        func(r *investigation.Record) { r.DueAt, r.Lane = time.Time{}, "" },
		"zone": func(r *investigation.Record) {
			r.CreatedAt, r.LastUpdatedAt = r.CreatedAt.In(zone), r.LastUpdatedAt.In(zone)
		},
	} {
		changed := rec
		change(&changed)
		if got := manifest(t, changed, receipt); !bytes.Equal(got, want) {
			t.Errorf("%s: the manifest differs: %s", name, got)
		}
	}
}

// TestNoLink: the message is the one field of a record that an error's text gets into.
func TestNoLink(t *testing.T) {
	t.Parallel()
	text := string(manifest(t, first(archived()), second(archived())))
	for _, part := range []string{"://", "sig=", "canary", "worker-1"} {
		if strings.Contains(text, part) {
			t.Errorf("the manifest has %q: %s", part, text)
		}
	}
}

func first(rec investigation.Record, _ investigation.Receipt) investigation.Record { return rec }
func second(_ investigation.Record, receipt investigation.Receipt) investigation.Receipt {
	return receipt
}

// FuzzManifest: whatever a tenant's people write, it is one JSON document that says the same.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{"", hostile, "\xff\xfe", `"`, `\`, "\n", "https://x/?sig=y"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, comment, name string) {
		rec, receipt := archived()
		rec.RequestorComment, rec.ComputerDNSName = comment, name
		text := manifest(t, rec, receipt)
		if !utf8.Valid(text) || !bytes.HasSuffix(text, []byte("}\n")) {
			t.Fatalf("not UTF-8, or no line break at its end: %q", text)
		}
		if bytes.ContainsAny(text, "\x00\x1b\r<>") {
			t.Fatalf("it has characters that steer a terminal or a page: %q", text)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		var got struct {
			Version string `json:"version"`
			Action  struct {
				ID, Type, TenantID, MachineID, ComputerDNSName, Requestor string
				RequestorComment, RequestSource, Status                   string
				CreatedAt, CompletedAt                                    time.Time
			} `json:"action"`
			Object struct {
				Bucket, Key, VersionID, SHA256, CRC32C string
				Size                                   int64
			} `json:"object"`
		}
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Action.RequestorComment != strings.ToValidUTF8(comment, "\ufffd") &&
			utf8.ValidString(comment) {
			t.Fatalf("the comment %q became %q", comment, got.Action.RequestorComment)
		}
		if utf8.ValidString(name) && got.Action.ComputerDNSName != name {
			t.Fatalf("the name %q became %q", name, got.Action.ComputerDNSName)
		}
		if got.Version != "1" || got.Action.ID != rec.ActionID || got.Object.SHA256 != receipt.SHA256 ||
			got.Object.Size != receipt.Size || !got.Action.CreatedAt.Equal(rec.CreatedAt) {
			t.Fatalf("%q: other fields changed: %+v", comment, got)
		}
	})
}
