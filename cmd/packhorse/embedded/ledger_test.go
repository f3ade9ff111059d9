package embedded_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger/ledgertest"
)

func TestLedger(t *testing.T) {
	ledgertest.Run(t, func(t *testing.T) ledgertest.Ledger {
		t.Helper()
		return embedded.NewLedger(newDB(t))
	})
}

var now = time.Date(2026, 11, 3, 9, 0, 0, 123_456_700, time.UTC)

const tenant = "11111111-1111-4111-8111-111111111111"

// someAction returns the action with the given last digit.
func someAction(digit string, created time.Time) investigation.Action {
	return investigation.Action{
		ID:        investigation.ID{TenantID: tenant, ActionID: "22222222-2222-4222-8222-22222222222" + digit},
		MachineID: strings.Repeat("3", 40), ComputerDNSName: "host.contoso.test",
		Requestor: "ana@contoso.test", RequestorComment: "case 7", RequestSource: "Portal",
		Status: investigation.StatusSucceeded, CreatedAt: created, LastUpdatedAt: created.Add(time.Minute),
	}
}

func TestRecordsAreInTheOrderOfCreation(t *testing.T) {
	ledger := embedded.NewLedger(newDB(t))
	for digit, created := range map[string]time.Time{
		"1": now.Add(3 * time.Second), "2": now.Add(time.Second), "3": now.Add(2 * time.Second),
		"4": now.Add(time.Second),
	} {
		if _, err := ledger.Observe(t.Context(), someAction(digit, created), now); err != nil {
			t.Fatal(err)
		}
	}
	other := someAction("5", now)
	other.TenantID = strings.Repeat("9", 40)
	if _, err := ledger.Observe(t.Context(), other, now); err != nil {
		t.Fatal(err)
	}
	records, err := ledger.Records(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, rec := range records {
		got = append(got, rec.ActionID[len(rec.ActionID)-1:])
	}
	if want := []string{"2", "4", "3", "1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The file outlives the code: what is on disk has the names of the design, and is read by them.
func TestRecordOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	db := openDB(t, path)
	ledger := embedded.NewLedger(db)
	a := someAction("1", now)
	id := a.ID
	_, err := ledger.Observe(t.Context(), a, now)
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		text, err := db.Text(t.Context(), "SELECT record FROM actions")
		if err != nil {
			t.Fatal(err)
		}
		if !sameJSON(t, text, want) {
			t.Errorf("got\n%s, want\n%s", text, want)
		}
	}
	const facts = `"tenantId":"11111111-1111-4111-8111-111111111111",
		"actionId":"22222222-2222-4222-8222-222222222221",
		"machineId":"3333333333333333333333333333333333333333",
		"computerDnsName":"host.contoso.test","requestor":"ana@contoso.test",
		"requestorComment":"case 7","requestSource":"Portal","status":"Succeeded",
		"createdAt":"2026-11-03T09:00:00.1234567Z","lastUpdatedAt":"2026-11-03T09:01:00.1234567Z",
		"completedAt":"2026-11-03T09:01:00.1234567Z","observedAt":"2026-11-03T09:00:00.1234567Z",`
	check("{" + facts + `"state":"ready","dueAt":"2026-11-03T09:00:00.123Z","lane":"live"}`)

	if _, err = ledger.Claim(t.Context(), id, "ada", now, now.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	check("{" + facts + `"state":"fetching","attempts":1,"owner":"ada",
		"leaseUntil":"2026-11-03T09:01:00.123Z","dueAt":"2026-11-03T09:01:00.123Z","lane":"live"}`)

	receipt := investigation.Receipt{Bucket: "b", Key: "k", VersionID: "v", Size: 7, SHA256: "s",
		CRC32C: "c"}
	if _, err = ledger.Archived(t.Context(), id, "ada", receipt, "m", now); err != nil {
		t.Fatal(err)
	}
	if err = ledger.Announced(t.Context(), id, now); err != nil {
		t.Fatal(err)
	}
	check("{" + facts + `"state":"done","attempts":1,"manifestKey":"m",
		"receipt":{"bucket":"b","key":"k","versionId":"v","size":7,"sha256":"s","crc":"c"},
		"archivedAt":"2026-11-03T09:00:00.1234567Z","announcedAt":"2026-11-03T09:00:00.1234567Z"}`)
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%v in %s", err, want)
	}
	return reflect.DeepEqual(g, w)
}

func TestRecordThatCannotBeRead(t *testing.T) {
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	a := someAction("1", now)
	if _, err := ledger.Observe(t.Context(), a, now); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), "UPDATE actions SET record = 'x'"); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Load(t.Context(), []investigation.ID{a.ID}); err == nil {
		t.Error("load: got no error")
	}
	if _, err := ledger.Records(t.Context(), tenant); err == nil {
		t.Error("records: got no error")
	}
	if _, err := ledger.Claim(t.Context(), a.ID, "ada", now, now); err == nil {
		t.Error("claim: got no error")
	}
}
