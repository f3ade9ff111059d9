package embedded_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	conformance "packhorse/internal/conformance/ledger"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

func TestLedger(t *testing.T) {
	conformance.Run(t, func(t *testing.T) (one, other conformance.Ledger, spoil conformance.Spoil) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "packhorse.db")
		db := openDB(t, path)
		return embedded.NewLedger(db), embedded.NewLedger(openDB(t, path)), spoilIn(db)
	})
}

// spoilIn damages records in the file.
func spoilIn(db *embedded.DB) conformance.Spoil {
	return func(t *testing.T, id investigation.ID, field string, value any) {
		t.Helper()
		change := fmt.Sprintf("json_remove(record, '$.%s')", field)
		switch value.(type) {
		case string:
			change = fmt.Sprintf("json_set(record, '$.%s', '%s')", field, value)
		case int:
			change = fmt.Sprintf("json_set(record, '$.%s', %d)", field, value)
		}
		err := db.Exec(t.Context(), fmt.Sprintf(
			"UPDATE actions SET record = %s WHERE tenant_id = '%s' AND action_id = '%s'",
			change, id.TenantID, id.ActionID))
		if err != nil {
			t.Fatal(err)
		}
	}
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
		if _, err := ledger.Change(t.Context(), someAction(digit, created).ID, investigation.Observe(someAction(digit, created), now)); err != nil {
			t.Fatal(err)
		}
	}
	other := someAction("5", now)
	other.TenantID = strings.Repeat("9", 40)
	if _, err := ledger.Change(t.Context(), other.ID, investigation.Observe(other, now)); err != nil {
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

// TestRecordOnDiskKeepsItsNames: the file outlives the code, so the names in it must not change.
func TestRecordOnDiskKeepsItsNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "packhorse.db")
	db := openDB(t, path)
	ledger := embedded.NewLedger(db)
	a := someAction("1", now)
	id := a.ID
	_, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now))
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

	if _, err = ledger.Change(t.Context(), id, investigation.Claim("ada", now, now.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	check("{" + facts + `"state":"fetching","attempts":1,"owner":"ada","claims":"ada","claimedAt":"2026-11-03T09:00:00.123Z",
		"leaseUntil":"2026-11-03T09:01:00.123Z","dueAt":"2026-11-03T09:01:00.123Z","lane":"live"}`)

	receipt := investigation.Receipt{Bucket: "b", Key: "k.zip", VersionID: "v", Size: 7, SHA256: "s",
		CRC32C: "c", PartSize: 8, Retention: investigation.Retention{Mode: "COMPLIANCE",
			Until: now.Truncate(time.Second), LegalHold: true}}
	rec, err := ledger.Seal(t.Context(), id, investigation.Archive("ada", investigation.Arrival{At: now, Receipt: receipt}), &memory.Sealer{})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal(rec.Seal.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	const archived = `"attempts":1,"claims":"ada","manifestKey":"k.json",
		"receipt":{"bucket":"b","key":"k.zip","versionId":"v","size":7,"sha256":"s","crc":"c",
		"partSize":8,"lockMode":"COMPLIANCE","retainUntil":"2026-11-03T09:00:00Z","legalHold":true},
		"archivedAt":"2026-11-03T09:00:00.1234567Z",`
	place := fmt.Sprintf(`"seal":{"sequence":1,"digest":%q,"bucket":"evidence"`, rec.Seal.Digest)
	check("{" + facts + archived + place + `,"manifest":` + string(manifest) + `},"state":"archived",
		"dueAt":"2026-11-03T09:01:00.123Z","lane":"settled"}`)
	if _, err = ledger.Change(t.Context(), id, investigation.Announce(investigation.Conclusion{At: now})); err != nil {
		t.Fatal(err)
	}
	check("{" + facts + archived + place + `},"state":"done",
		"announcedAt":"2026-11-03T09:00:00.1234567Z"}`)
}

// TestQuarantineOnDiskKeepsItsNames is the same for an action that ends without a package.
func TestQuarantineOnDiskKeepsItsNames(t *testing.T) {
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	a := someAction("1", now)
	a.CaseID = "case 7"
	_, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now))
	if err == nil {
		_, err = ledger.Change(t.Context(), a.ID, investigation.Claim("ada", now, now.Add(time.Minute)))
	}
	if err == nil {
		_, err = ledger.Seal(t.Context(), a.ID, investigation.Close("ada", investigation.Closing{
			At: now, Reason: investigation.ReasonInvalid, Message: "it is no ZIP",
			Quarantine: investigation.Receipt{Bucket: "b", Key: "q.bin", Size: 7, SHA256: "s", CRC32C: "c"},
		}), &memory.Sealer{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"caseId": "case 7", "journal": "2026-11-03T09:00:00.123Z it is no ZIP",
		"quarantine.key": "q.bin", "quarantineSeal.sequence": "1", "seal.sequence": "2",
	} {
		got, err := db.Text(t.Context(), "SELECT record ->> '$."+path+"' FROM actions")
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", path, got, err, want)
		}
	}
	got, err := db.Text(t.Context(), "SELECT tenant_id || ' ' || sequence FROM chains")
	if want := tenant + " 2"; err != nil || got != want {
		t.Errorf("the chain: got %q, %v; want %q", got, err, want)
	}
}

// TestChainWithoutItsHeadDoesNotRestart: the next manifest must not get number 1 again.
func TestChainWithoutItsHeadDoesNotRestart(t *testing.T) {
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	var actions []investigation.Action
	for _, digit := range []string{"1", "2"} {
		a := someAction(digit, now)
		a.Status = investigation.StatusFailed
		if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
		actions = append(actions, a)
	}
	if _, err := ledger.Seal(t.Context(), actions[0].ID, investigation.Unchanged(), &memory.Sealer{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(t.Context(), "DELETE FROM chains"); err != nil {
		t.Fatal(err)
	}
	_, err := ledger.Seal(t.Context(), actions[1].ID, investigation.Unchanged(), &memory.Sealer{})
	_, headErr := ledger.Head(t.Context(), tenant)
	for call, err := range map[string]error{"seal": err, "head": headErr} {
		if !errors.Is(err, investigation.ErrBadRecord) {
			t.Errorf("%s: got %v", call, err)
		}
	}
	records, err := ledger.Records(t.Context(), tenant)
	if err != nil || records[1].IsSealed() {
		t.Errorf("got %+v, %v", records, err)
	}
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

// TestBadRowIsNamedAndSkipped: whatever is wrong with it, the other rows are still returned.
func TestBadRowIsNamedAndSkipped(t *testing.T) {
	for _, damage := range []string{
		"record = 'x'", "record = x'00ff'", "record = ''", "record = 'null'", "record = '[]'",
		"record = json_set(record, '$.attempts', 1.5)", "record = json_set(record, '$.receipt', 'paid')",
		"record = json_set(record, '$.dueAt', '2026-11-03T10:00:00Z')", "due_at = 7", "due_at = 'soon'",
		"record = json_set(record, '$.lane', 'backlog')", "tenant_id = '" + strings.Repeat("9", 40) + "'",
	} {
		db := newDB(t)
		ledger := embedded.NewLedger(db)
		var good investigation.Record
		for _, digit := range []string{"1", "2"} {
			var err error
			good, err = ledger.Change(t.Context(), someAction(digit, now).ID, investigation.Observe(someAction(digit, now), now))
			if err != nil {
				t.Fatal(err)
			}
		}
		bad := someAction("1", now).ID
		err := db.Exec(t.Context(), "UPDATE actions SET "+damage+" WHERE action_id = '"+bad.ActionID+"'")
		if err != nil {
			t.Fatal(err)
		}
		due, dueErr := ledger.Due(t.Context(), tenant, investigation.LaneLive, now, 10)
		records, err := ledger.Records(t.Context(), tenant)
		if !slices.Equal(due, []investigation.Record{good}) || !slices.Equal(records, due) {
			t.Errorf("%s: due %+v, records %+v", damage, due, records)
		}
		tenants, tenantsErr := ledger.Tenants(t.Context())
		if tenantsErr != nil || tenants[0] != tenant {
			t.Errorf("%s: got the tenants %q, %v", damage, tenants, tenantsErr)
		}
		if strings.HasPrefix(damage, "tenant_id") { // then it is another tenant's, and bad there
			_, err = ledger.Records(t.Context(), tenants[1])
		} else if strings.HasPrefix(damage, "record") && !errors.Is(dueErr, investigation.ErrBadRecord) {
			t.Errorf("%s: due: got %v", damage, dueErr)
		}
		if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), bad.ActionID) {
			t.Errorf("%s: records: got %v", damage, err)
		}
	}
}

// TestDamagedHeadStopsItsChain: sealing fails for this tenant and goes on for others.
func TestDamagedHeadStopsItsChain(t *testing.T) {
	other := strings.Repeat("9", 40)
	for _, damage := range []string{
		"sequence = 0", "sequence = -1", "sequence = 'first'", "sequence = 1.5", "digest = 'x'", "digest = x'00'",
	} {
		db := newDB(t)
		ledger := embedded.NewLedger(db)
		seal := func(tenantID, digit string) error {
			a := someAction(digit, now)
			a.TenantID, a.Status = tenantID, investigation.StatusFailed
			if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
				t.Fatal(err)
			}
			_, err := ledger.Seal(t.Context(), a.ID, investigation.Unchanged(), &memory.Sealer{})
			return err
		}
		if err := errors.Join(seal(tenant, "1"), seal(other, "1")); err != nil {
			t.Fatal(err)
		}
		err := db.Exec(t.Context(), "UPDATE chains SET "+damage+" WHERE tenant_id = '"+tenant+"'")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ledger.Head(t.Context(), tenant); !errors.Is(err, investigation.ErrBadRecord) {
			t.Errorf("%s: head: got %v", damage, err)
		}
		if err := seal(tenant, "2"); !errors.Is(err, investigation.ErrBadRecord) {
			t.Errorf("%s: seal: got %v", damage, err)
		}
		head, err := ledger.Head(t.Context(), other)
		if err != nil || head.Sequence != 1 || seal(other, "2") != nil {
			t.Errorf("%s: the other chain: %+v, %v", damage, head, err)
		}
	}
}
