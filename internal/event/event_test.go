package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

var update = flag.Bool("update", false, "write the golden files anew; look at the difference!")

// hostile is text that a requestor can put into a comment.
const hostile = "</script> \"quoted\" \\ \x1b[2J \x00 \u2028 \u202e \r\n,\"version\":\"2\" Ünï 漢字 \U0001f40e"

// canaryLink must not appear anywhere except in text that somebody else wrote.
const canaryLink = "https://canary.blob.core.windows.net/p.zip?sig=canary"

func record() investigation.Record {
	createdAt := time.Date(2026, 3, 4, 0, 6, 7, 891_234_500, time.FixedZone("elsewhere", -5*3600))
	return investigation.Record{
		Action: investigation.Action{
			ID: investigation.ID{
				TenantID: "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11",
				ActionID: "5382f7ea-7557-4ab7-9782-d50480024a4e",
			},
			MachineID:        "0123456789abcdef0123456789abcdef01234567",
			ComputerDNSName:  "fin-ws-17.contoso.com",
			Requestor:        "a.lindqvist@contoso.com",
			RequestorComment: hostile,
			CaseID:           "INC-4711",
			RequestSource:    "Portal",
			Status:           investigation.StatusSucceeded,
			CreatedAt:        createdAt,
			LastUpdatedAt:    createdAt.Add(9 * time.Minute),
		},
		State: investigation.StateArchived, Attempts: 3, Owner: "worker-1",
		DueAt: createdAt.Add(time.Hour), Lane: investigation.LaneLive,
		ObservedAt: createdAt.Add(10 * time.Minute),
		Seal: investigation.Seal{
			Sequence: 7, Digest: strings.Repeat("0f", 32), Manifest: "not for the bus",
		},
	}
}

func archived() investigation.Record {
	rec := record()
	rec.ArchivedAt = rec.CreatedAt.Add(11 * time.Minute)
	rec.ManifestKey = "packages/t/m/20260304T050607Z_a.json"
	rec.Message = canaryLink
	rec.Receipt = investigation.Receipt{
		Bucket: "contoso-evidence", Key: "packages/t/m/20260304T050607Z_a.zip", VersionID: "v1+/=",
		Size:   5_368_709_121,
		SHA256: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", CRC32C: "yZRlqg==",
	}
	rec.Strangers = strangers("packages/t/m/20260304T050607Z_a.zip")
	return rec
}

// strangers are two strangers: one was read, the other was not.
func strangers(key string) investigation.Strangers {
	at := time.Date(2026, 3, 4, 6, 7, 8, 0, time.UTC)
	return investigation.Strangers("").Add(
		investigation.Stranger{Key: key, VersionID: "v0", Size: 3, SHA256: strings.Repeat("ab", 32), FoundAt: at},
		investigation.Stranger{Key: key, VersionID: "v1", FoundAt: at, Note: "it was not read"})
}

func notCollected() investigation.Record {
	rec := record()
	rec.State, rec.Status = investigation.StateNotCollected, investigation.StatusTimeOut
	rec.Reason = investigation.ReasonTimeOut
	rec.Message = "Defender gave up"
	rec.ManifestKey = "not-collected/t/m/20260304T050607Z_a.json"
	rec.Quarantine.Key = "quarantine/t/m/20260304T050607Z_a.bin"
	rec.Strangers = strangers(rec.ManifestKey)
	return rec
}

// announced is what is put on the bus about a record.
func announced(rec investigation.Record) any {
	_, detail := event.Of(rec)
	return detail
}

// details maps the golden files to their details.
func details() map[string]any {
	return map[string]any{
		"ready.json":         event.NewWork(record().ID),
		"archived.json":      announced(archived()),
		"not_collected.json": announced(notCollected()),
	}
}

// TestGolden pins the bytes: consumers build on these names.
func TestGolden(t *testing.T) {
	for name, detail := range details() {
		got, err := json.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, '\n')
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
}

// TestFields compares the fields with the list in the design. Only additive changes are allowed, and empty
// fields are not omitted.
func TestFields(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		empty any
		want  string
	}{
		"ready": {event.Work{}, "version tenantId actionId"},
		"archived": {event.Archived{}, "version tenantId actionId machineId computerDnsName " +
			"requestor requestorComment caseId requestSource createdAt completedAt archivedAt bucket key " +
			"versionId size sha256 manifestKey manifestSha256 sequence strangers"},
		"not collected": {event.NotCollected{}, "version tenantId actionId machineId " +
			"computerDnsName requestor requestorComment caseId createdAt completedAt reason message " +
			"manifestKey manifestSha256 sequence quarantineKey strangers"},
	} {
		text, err := json.Marshal(c.empty)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(text))
		var got []string
		for depth, key := 0, true; decoder.More() || depth > 0; {
			token, err := decoder.Token()
			if err != nil {
				t.Fatal(err)
			}
			switch token {
			case json.Delim('{'):
				depth, key = depth+1, true
				continue
			case json.Delim('}'):
				depth, key = depth-1, true
				continue
			}
			if key {
				got = append(got, token.(string))
			}
			key = !key
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if event.Source != "packhorse" || event.TypeReady != "Investigation Package Ready" ||
		event.TypeDecided != "Investigation Package Settled" ||
		event.TypeArchived != "Investigation Package Archived" ||
		event.TypeNotCollected != "Investigation Package Not Collected" {
		t.Error("the bus's rules match on the source and the detail types")
	}
}

// TestNothingIsLost fills in every field, some with hostile text, and reads the same values back.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, detail := range details() {
		text, err := json.Marshal(detail)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(text, "\x00\x1b\r\n<>") {
			t.Errorf("%s: it has characters that steer a terminal or a page: %q", name, text)
		}
		if strings.Contains(string(text), "canary") {
			t.Errorf("%s: it has the link: %s", name, text)
		}
		again := reflect.New(reflect.TypeOf(detail))
		if err := json.Unmarshal(text, again.Interface()); err != nil {
			t.Fatal(err)
		}
		if got := again.Elem().Interface(); !reflect.DeepEqual(got, detail) {
			t.Errorf("%s: got %+v, want %+v", name, got, detail)
		}
		value := reflect.ValueOf(detail)
		for i := range value.NumField() {
			if value.Field(i).IsZero() {
				t.Errorf("%s: %s is not filled in", name, value.Type().Field(i).Name)
			}
		}
	}
}
