package records_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

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
	for _, bad := range []string{"", "yesterday", "-3h", "2026-13-01"} {
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
	if err := records.Table(&out, investigation.Filter{}.Select(some())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-03-01 12:00:00Z  fin-ws-17.contoso.com", "hr?[2J",
		"not collected: TimeOut", "3.0 MiB", "packages/1.zip"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := records.JSON(&out, some()); err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 5 {
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
	if err := errors.Join(records.Table(&table, []investigation.Record{rec}),
		records.JSON(&lines, []investigation.Record{rec})); err != nil {
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
	if err := records.Table(&table, []investigation.Record{record("b", "h", "x", "", 1, true)}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(table.String(), "Stranger") {
		t.Errorf("unexpected stranger: %s", table.String())
	}
}
