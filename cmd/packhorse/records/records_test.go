package records_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func record(id, host, requestor, caseID string, daysAgo int, archived bool) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID: investigation.ID{ActionID: id}, MachineID: strings.Repeat("a", 40), ComputerDNSName: host,
			Requestor: requestor, CaseID: caseID, CreatedAt: now.AddDate(0, 0, -daysAgo),
		},
		State: investigation.StateDone,
	}
	if archived {
		rec.Receipt = investigation.Receipt{Key: "packages/" + id + ".zip", Size: 3 << 20}
	} else {
		rec.Reason = investigation.ReasonTimeOut
	}
	return rec
}

func some() []investigation.Record {
	return []investigation.Record{
		record("3", "fin-ws-17.contoso.com", "a@contoso.com", "INC-1", 1, true),
		record("1", "fin-ws-17.contoso.com", "a@contoso.com", "INC-1", 9, true),
		record("2", "Fin-WS-17.contoso.com", "b@contoso.com", "", 5, true),
		record("4", "fin-ws-17.contoso.com", "b@contoso.com", "INC-2", 0, false),
		record("5", "hr\x1b[2J", "a@contoso.com", "", 3, false),
	}
}

func ids(records []investigation.Record) string {
	var all []string
	for _, rec := range records {
		all = append(all, rec.ActionID)
	}
	return strings.Join(all, " ")
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"36h": 36 * time.Hour, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1w2d3h30m": 219*time.Hour + 30*time.Minute,
		"0d": 0, "90m": 90 * time.Minute, "99999d": 99999 * 24 * time.Hour,
	} {
		if got, err := records.ParseTime(text, now); err != nil || now.Sub(got) != want {
			t.Errorf("%s: %v, %v", text, now.Sub(got), err)
		}
	}
	for _, bad := range []string{
		"", "yesterday", "-3h", "2026-13-01", "d", "7", "2d1w", "-1d", "1d-2h", "999999d", "1.5w", "7d ",
		"99999d2562047h",
	} {
		if _, err := records.ParseTime(bad, now); err == nil {
			t.Errorf("the time %q was accepted", bad)
		}
	}
	if got, err := records.ParseState("NOTcollected"); err != nil || got != "notCollected" {
		t.Errorf("state: %q, %v", got, err)
	}
	if _, err := records.ParseState("lost"); err == nil {
		t.Error("an unknown state was accepted")
	}
}

func TestNewestPair(t *testing.T) {
	t.Parallel()
	all := investigation.Filter{Machine: "fin-ws-17"}.Select(some())
	pair, err := records.NewestPair(all)
	if err != nil || ids(pair) != "2 3" {
		t.Errorf("got %q, %v", ids(pair), err)
	}
	_, err = records.NewestPair(all[:2])
	if !errors.Is(err, records.ErrNoPair) || !strings.Contains(err.Error(), "has 1 archived") {
		t.Errorf("one: %v", err)
	}
	other := slices.Clone(all)
	other[1].MachineID = strings.Repeat("b", 40)
	if _, err = records.NewestPair(other); !errors.Is(err, records.ErrNoPair) {
		t.Errorf("two hosts: %v", err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := records.Table(&out, investigation.Filter{}.Select(some()), records.Layout{Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-03-01 12:00  1   fin-ws-17.contoso.com", "hr?[2J",
		"TimeOut   –        not collected: the host did not answer in time", "3.0 MiB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := records.JSON(&out, some(), now); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 5 {
		t.Errorf("JSON: %s, %v", out.String(), err)
	}
}

// TestStrangers: strangers stored in an action's places are listed with the action.
func TestStrangers(t *testing.T) {
	t.Parallel()
	rec := record("a", "fin-ws-17.contoso.com", "x", "", 1, true)
	rec.Strangers = rec.Strangers.Add(
		investigation.Stranger{Key: "packages/a.zip", VersionID: "v1", Size: 7, SHA256: strings.Repeat("5", 64), FoundAt: now},
		investigation.Stranger{Key: "packages/\x1b[2Ja~1.zip", Size: 8, Note: "it is too large", FoundAt: now})
	var table, lines bytes.Buffer
	if err := errors.Join(records.Table(&table, []investigation.Record{rec}, records.Layout{Now: now}),
		records.JSON(&lines, []investigation.Record{rec}, now)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Stranger  packages/a.zip, 7 bytes, " + strings.Repeat("5", 64), "8 bytes, it is too large",
		"stored in place of a file of fin-ws-17.contoso.com, found 2026-03-10 12:00:00Z",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("%q is missing in %s", want, table.String())
		}
	}
	if strings.Contains(table.String(), "\x1b") {
		t.Error("a key can control the terminal")
	}
	if !strings.Contains(lines.String(), `"strangers":[{"key":"packages/a.zip","versionId":"v1","size":7,`) {
		t.Errorf("got %s", lines.String())
	}
	table.Reset()
	if err := records.Table(&table, []investigation.Record{record("b", "h", "x", "", 1, true)}, records.Layout{Now: now}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(table.String(), "Stranger") {
		t.Errorf("unexpected stranger: %s", table.String())
	}
}

// many returns 2,000 records of all kinds, some with names that try to break the table.
func many() []investigation.Record {
	hosts := []string{"fin-ws-17.contoso.com", "", "日本語のホスト名はとても長いです.example.jp", "a\x1b[2Jb\r\nc", "10.20.30.40",
		strings.Repeat("long", 60) + ".contoso.com", "e\u0301\u0301\u0301.x", "\u202egpj.exe"}
	requestors := []string{"a.lindqvist@contoso.com", "", "x\ty@z", strings.Repeat("長", 50), "Packhorse Automation"}
	reasons := investigation.Reasons()
	states := investigation.States()
	var all []investigation.Record
	for i := range 2000 {
		rec := record(fmt.Sprintf("%08x-0000-4000-8000-%012x", uint32(i)*2654435761, i), hosts[i%len(hosts)],
			requestors[i%len(requestors)], []string{"INC-4711", "", "INC\x1b]0;x\x07" + strings.Repeat("9", 99)}[i%3], i%400, i%4 == 0)
		rec.TenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
		if rec.Reason != "" {
			rec.Reason = reasons[i%len(reasons)]
		}
		if i%5 == 1 {
			rec.State, rec.Reason, rec.Receipt = states[i/5%len(states)], "", investigation.Receipt{}
			rec.Message, rec.DueAt = "the answer was\x1b[31m 429", now.Add(time.Minute)
		}
		if i%97 == 0 {
			rec.Strangers = rec.Strangers.Add(investigation.Stranger{Key: "packages/a.zip", FoundAt: now})
		}
		all = append(all, rec)
	}
	return investigation.Filter{}.Select(all)
}

// columns is how many columns of a terminal a line takes.
func columns(text string) int {
	condition := runewidth.Condition{StrictEmojiNeutral: true}
	return condition.StringWidth(text)
}

// TestTablesFit: no row is wider than the terminal, or controls it; every record has a row.
func TestTablesFit(t *testing.T) {
	t.Parallel()
	all := many()
	for _, width := range []int{0, 80, 99, 100, 120, 200} {
		var out bytes.Buffer
		if err := records.Table(&out, all, records.Layout{Width: width, Now: now}); err != nil {
			t.Fatal(err)
		}
		table, _, _ := strings.Cut(out.String(), "\nStranger ")
		rows, notes := 0, 0
		for line := range strings.Lines(table) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "20") {
				rows++
			}
			if strings.HasPrefix(line, "  ") {
				notes++
			}
			if width > 0 && columns(line) > width {
				t.Fatalf("%d columns at %d: %s", columns(line), width, line)
			}
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Fatalf("%q", line)
			}
		}
		if rows != len(all) || (notes > 0) != (width > 0 && width < 160) {
			t.Errorf("at %d columns: %d rows, %d notes", width, rows, notes)
		}
		if strings.Count(out.String(), "\nStranger ") != 21 {
			t.Errorf("at %d columns: %d strangers", width, strings.Count(out.String(), "\nStranger "))
		}
	}
	var wide bytes.Buffer
	if err := records.Table(&wide, all, records.Layout{Width: 80, Wide: true, Now: now}); err != nil {
		t.Fatal(err)
	}
	for _, rec := range all {
		if !strings.Contains(wide.String(), rec.ActionID) || !strings.Contains(wide.String(), rec.Receipt.Key) {
			t.Fatalf("--wide lacks %s", rec.ActionID)
		}
	}
}

// TestTenants: the table names the tenants only if there are several.
func TestTenants(t *testing.T) {
	t.Parallel()
	all := some()
	for i := range all {
		all[i].TenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	}
	for want, second := range map[bool]string{false: all[0].TenantID, true: "99999999-2222-4333-8444-555555555555"} {
		all[1].TenantID = second
		var out bytes.Buffer
		if err := records.Table(&out, all, records.Layout{Width: 120, Now: now}); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "TENANT") != want || strings.Contains(out.String(), "99999999") != want {
			t.Errorf("%s", out.String())
		}
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	base := record("a", "h", "r", "c", 0, false)
	for want, change := range map[string]func(*investigation.Record){
		"not collected: the host did not answer in time": func(*investigation.Record) {},
		"not collected: the link expired 3 times": func(r *investigation.Record) {
			r.Reason, r.Message = investigation.ReasonExpired, "the link expired 3 times"
		},
		"": func(r *investigation.Record) { r.Reason, r.Receipt.Key = "", "k" },
		"its record is still to be written and announced": func(r *investigation.Record) {
			r.Reason, r.Receipt.Key, r.State = "", "k", investigation.StateArchived
		},
		"queued": func(r *investigation.Record) { r.Reason, r.State = "", investigation.StateReady },
		"postponed until 2026-03-10 12:05: Defender answered 429": func(r *investigation.Record) {
			r.Reason, r.State, r.DueAt = "", investigation.StateReady, now.Add(5*time.Minute)
			r.Message = "Defender answered 429"
		},
		"due again: Defender? answered 429": func(r *investigation.Record) {
			r.Reason, r.State, r.DueAt, r.Message = "", investigation.StateReady, now, "Defender? answered 429"
		},
		"attempt 2 is under way": func(r *investigation.Record) {
			r.Reason, r.State, r.Attempts = "", investigation.StateFetching, 2
		},
		"the host seems offline: Defender has waited for it for 26 h": func(r *investigation.Record) {
			r.Reason, r.State, r.Status = "", investigation.StateWaiting, investigation.StatusPending
			r.CreatedAt = now.Add(-26*time.Hour - 59*time.Minute)
		},
		"Defender waits for the host": func(r *investigation.Record) {
			r.Reason, r.State, r.Status = "", investigation.StateWaiting, investigation.StatusPending
			r.CreatedAt = now.Add(-time.Hour)
		},
		"the host is collecting": func(r *investigation.Record) {
			r.Reason, r.State, r.Status = "", investigation.StateWaiting, investigation.StatusInProgress
		},
		"2 strangers lie in its places; not collected: the host did not answer in time": func(r *investigation.Record) {
			r.Strangers = r.Strangers.Add(investigation.Stranger{Key: "a"}, investigation.Stranger{Key: "b"})
		},
	} {
		rec := base
		change(&rec)
		if got := records.Note(rec, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestJSONIsComplete: the lines of all records have the same fields, apart from times that are not known.
func TestJSONIsComplete(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	all := many()
	if err := records.JSON(&out, all, now); err != nil {
		t.Fatal(err)
	}
	outcomes := map[any]int{}
	for i, text := range bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n")) {
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"event", "version", "time", "tenantId", "actionId", "machineId", "computerDnsName",
			"requestor", "requestorComment", "caseId", "requestSource", "status", "state", "outcome", "reason", "message",
			"attempts", "createdAt", "bucket", "key", "versionId", "size", "sha256", "manifestKey", "quarantineKey",
			"sequence", "strangers", "strangersMore"} {
			if value, ok := got[field]; !ok || value == nil {
				t.Fatalf("%s: %s is missing", text, field)
			}
		}
		if got["actionId"] != all[i].ActionID || got["version"] != "1" || got["time"] != "2026-03-10T12:00:00Z" ||
			got["message"] != all[i].Message {
			t.Fatalf("%s", text)
		}
		if (got["outcome"] == "archived") != (got["key"] != "") || (got["outcome"] == "notCollected") != (got["reason"] != "") {
			t.Fatalf("%s", text)
		}
		outcomes[got["outcome"]]++
	}
	if len(outcomes) != 3 {
		t.Errorf("outcomes: %v", outcomes)
	}
}

func TestKeysAndMore(t *testing.T) {
	t.Parallel()
	all := some()
	all[3].ManifestKey = "not-collected/\x1bx.json"
	var out bytes.Buffer
	if err := records.Keys(&out, all); err != nil ||
		out.String() != "packages/3.zip\npackages/1.zip\npackages/2.zip\nnot-collected/ x.json\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	for n, want := range map[int]string{1: "… 1 more: --limit 0 shows all", 1950: "… 1,950 more: --limit 0 shows all",
		10000: "… at least 10,000 more: --limit 0 shows all"} {
		if got := records.More(n, 10000); got != want {
			t.Errorf("%q", got)
		}
	}
}

// TestDetail: every fact has a line, and no text from outside controls the terminal or makes a line of its own.
func TestDetail(t *testing.T) {
	t.Parallel()
	rec := record("3f2a81c0-0000-4000-8000-000000000001", "h\x1b[2J", "eve\r\nCustody    verified", "INC-1\n", 1, true)
	rec.TenantID, rec.RequestorComment, rec.RequestSource = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", "why\u202e", "Portal"
	rec.ArchivedAt, rec.AnnouncedAt, rec.ManifestKey, rec.Attempts, rec.ExpiredLinks = now, now, "packages/m.json", 2, 1
	rec.Seal = investigation.Seal{Sequence: 7, Digest: strings.Repeat("d", 64)}
	rec.Receipt.Bucket, rec.Receipt.VersionID, rec.Receipt.SHA256 = "evidence", "v1", strings.Repeat("5", 64)
	rec.Receipt.Retention = investigation.Retention{Mode: "COMPLIANCE", Until: now, LegalHold: true}
	rec.Journal = rec.Journal.Add(now, "the link failed")
	rec.Strangers = rec.Strangers.Add(investigation.Stranger{Key: "packages/x.zip", Size: 7, Note: "too large", FoundAt: now})
	var out bytes.Buffer
	if err := records.Detail(&out, rec, "the ledger \x1bL", now); err != nil {
		t.Fatal(err)
	}
	want := `Package     3f2a81c0-0000-4000-8000-000000000001
Host        h [2J, machine aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
Requested   2026-03-09 12:00:00Z by eve  Custody    verified (Portal)
Comment     why` + " " + `
Case        INC-1` + " " + `
Tenant      7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11
State       archived 2026-03-10 12:00:00Z, announced 2026-03-10 12:00:00Z
Note        a stranger lies in its place
Attempts    2, and 1 with a link that had expired
            2026-03-10 12:00:00Z the link failed
Stored      s3://evidence/packages/3f2a81c0-0000-4000-8000-000000000001.zip
  version   v1
  size      3.0 MiB (3145728 bytes)
  SHA-256   5555555555555555555555555555555555555555555555555555555555555555
  lock      COMPLIANCE until 2026-03-10 12:00:00Z, legal hold
Manifest    packages/m.json
            number 7 of the tenant's chain
  SHA-256   dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
Stranger    packages/x.zip, 7 bytes, found 2026-03-10 12:00:00Z
  SHA-256   too large
Source      the ledger  L
Custody     not checked: packhorse verify 3f2a81c0-0000-4000-8000-000000000001
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := records.Detail(&out, record("a", "h", "", "", 0, false), "the ledger", now); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"Custody", "Stored", "Manifest", "Attempts"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("unexpected %s in %s", bad, out.String())
		}
	}
}
