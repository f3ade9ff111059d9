package embedded_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/racing"
)

// words occur in random records and filters. Some are equal regardless of case, one only by Unicode's rules, and
// some begin with others.
var words = []string{"", "a", "A", "a.b", "A.B.c", "ab", "a-b", "a.", ".", "inc-1", "INC-1", "inc-10",
	"Kelvin", "\u212aelvin", "straße", "STRASSE", "ünï", "ÜNÏ", "50%", "_", "o'brien", strings.Repeat("c", 40)}

func word(random *rand.Rand) string { return words[random.IntN(len(words))] }

func randomTenant(random *rand.Rand) string { return strings.Repeat(fmt.Sprint(random.IntN(3)), 40) }

func randomTime(random *rand.Rand) time.Time {
	return now.Add(time.Duration(random.IntN(20)) * 50 * time.Nanosecond)
}

// randomRecord returns a record in any state, made by the changes that lead there.
func randomRecord(t *testing.T, random *rand.Rand) investigation.Record {
	t.Helper()
	created := randomTime(random)
	a := investigation.Action{
		ID: investigation.ID{TenantID: randomTenant(random),
			ActionID: fmt.Sprintf("%02x", random.IntN(256)) + fmt.Sprintf("%038x", random.Uint64())},
		MachineID:       strings.Repeat(fmt.Sprintf("%x", random.IntN(16)), 40),
		ComputerDNSName: word(random), Requestor: word(random), CaseID: word(random), CreatedAt: created,
		Status: []investigation.Status{"Pending", "Succeeded", "Failed", "TimeOut"}[random.IntN(4)],
	}
	var rec investigation.Record
	do := func(c investigation.Change) {
		next, err := c.Apply(rec)
		if err != nil {
			t.Fatal(err)
		}
		rec = next
	}
	do(investigation.Observe(a, now))
	if rec.State == investigation.StateReady && random.IntN(4) > 0 {
		do(investigation.Claim("ada", now, now.Add(time.Minute)))
		switch random.IntN(3) {
		case 0:
			do(investigation.Archive("ada", investigation.Arrival{At: now, Receipt: investigation.Receipt{
				Bucket: "b", Key: "k.zip", Size: 7, SHA256: "s", CRC32C: "c"}}))
		case 1:
			do(investigation.Close("ada", investigation.Closing{At: now, Reason: investigation.ReasonExpired}))
		}
	}
	if rec.State.Decided() && random.IntN(3) > 0 {
		sealed, _, err := rec.Sealed(investigation.Head{}, &memory.Sealer{})
		if err != nil {
			t.Fatal(err)
		}
		rec = sealed
		do(investigation.Announce(investigation.Conclusion{At: randomTime(random)}))
	}
	return rec
}

// keep makes the ledger hold the record.
func keep(t *testing.T, ledger *embedded.Ledger, rec investigation.Record) {
	t.Helper()
	_, err := ledger.Change(t.Context(), rec.ID, investigation.Change{Name: "put",
		Apply: func(investigation.Record) (investigation.Record, error) { return rec, nil }})
	if err != nil {
		t.Fatal(err)
	}
}

// randomLedger returns a ledger and its records in the order of tenants. Some rows were rewritten, and some are
// without columns.
func randomLedger(t *testing.T, random *rand.Rand) (*embedded.DB, *embedded.Ledger, []investigation.Record) {
	t.Helper()
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	records := map[investigation.ID]investigation.Record{}
	for range 150 {
		rec := randomRecord(t, random)
		if random.IntN(4) == 0 {
			before := randomRecord(t, random)
			before.ID = rec.ID
			keep(t, ledger, before)
		}
		keep(t, ledger, rec)
		records[rec.ID] = rec
	}
	unindex(t, db, fmt.Sprintf("action_id LIKE '%x%%'", random.IntN(16)))
	all := slices.SortedFunc(maps.Values(records), func(a, b investigation.Record) int {
		return strings.Compare(a.TenantID, b.TenantID)
	})
	return db, ledger, all
}

// unindex empties the columns of rows.
func unindex(t *testing.T, db *embedded.DB, which string) {
	t.Helper()
	err := db.Exec(t.Context(), `UPDATE actions SET state = '', outcome = '', announced_at = '', created_at = '',
		machine_id = '', host = '', requestor = '', case_id = '' WHERE `+which)
	if err != nil {
		t.Fatal(err)
	}
}

func randomFilter(random *rand.Rand, records []investigation.Record) investigation.Filter {
	var f investigation.Filter
	like := records[random.IntN(len(records))]
	set := func() bool { return random.IntN(4) == 0 }
	if random.IntN(2) == 0 {
		f.TenantID = randomTenant(random)
	}
	if set() {
		f.ActionID = strings.ToUpper(like.ActionID[:1+random.IntN(len(like.ActionID))])
	}
	if set() {
		f.Machine = []string{word(random), strings.ToUpper(like.MachineID), like.ComputerDNSName}[random.IntN(3)]
	}
	if set() {
		f.Requestor = word(random)
	}
	if set() {
		f.Case = word(random)
	}
	if set() {
		states := []string{"archived", "notCollected", "waiting", "ready", "fetching", "done", "TimeOut", "Failed",
			"Expired", "Invalid", "nonsense"}
		f.State = states[random.IntN(len(states))]
	}
	if set() {
		f.Since = randomTime(random)
	}
	if set() {
		f.Until = randomTime(random).In(time.FixedZone("elsewhere", 3600))
	}
	if random.IntN(2) == 0 {
		f.Limit = 1 + random.IntN(20)
	}
	return f
}

// TestQueriesAnswerLikeAScan: for random ledgers and questions, each answer is that of the nouns over all
// records.
func TestQueriesAnswerLikeAScan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(racing.Size(8, 1)) {
		random := rand.New(rand.NewPCG(seed, 0))
		_, ledger, all := randomLedger(t, random)
		hits := 0
		for range 400 {
			f := randomFilter(random, all)
			want := f.Select(all)
			got, err := ledger.Find(t.Context(), f)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("seed %d: find %+v: got %d, %v; want %d", seed, f, len(got), err, len(want))
			}
			hits += len(got)
		}
		if hits < 400 {
			t.Errorf("seed %d: only %d records found", seed, hits)
		}
		for range 100 {
			checkValues(t, ledger, all, random)
		}
		for _, tenantID := range []string{"", randomTenant(random), strings.Repeat("9", 40)} {
			checkOpen(t, ledger, investigation.Filter{TenantID: tenantID}.Select(all), tenantID, randomTime(random))
		}
	}
}

func checkValues(t *testing.T, ledger *embedded.Ledger, all []investigation.Record, random *rand.Rand) {
	t.Helper()
	fields := []investigation.Field{investigation.FieldAction, investigation.FieldHost, investigation.FieldCase,
		investigation.FieldRequestor}
	b := investigation.Beginning{Field: fields[random.IntN(len(fields))], Limit: random.IntN(8),
		Text: []string{"", "a", "0", "K", "ST", "I", "Ü"}[random.IntN(7)]}
	if random.IntN(2) == 0 {
		b.TenantID = randomTenant(random)
	}
	want := b.Values(investigation.Filter{}.Select(all))
	got, err := ledger.Values(t.Context(), b)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("values %+v: got\n%+v, %v; want\n%+v", b, got, err, want)
	}
}

// checkOpen checks the answers that depend on the tenant alone.
func checkOpen(t *testing.T, ledger *embedded.Ledger, all []investigation.Record, tenantID string, since time.Time) {
	t.Helper()
	slices.SortStableFunc(all, func(a, b investigation.Record) int { return strings.Compare(a.TenantID, b.TenantID) })
	slices.SortStableFunc(all, investigation.ByCreation)
	var open, announced []investigation.Record
	for _, rec := range all {
		if rec.State != investigation.StateDone {
			open = append(open, rec)
		}
		if rec.AnnouncedSince(since) {
			announced = append(announced, rec)
		}
	}
	got, err := ledger.Open(t.Context(), tenantID)
	if err != nil || !slices.Equal(got, open) {
		t.Errorf("open: got %d, %v; want %d", len(got), err, len(open))
	}
	got, err = ledger.Announced(t.Context(), tenantID, since)
	if err != nil || !slices.Equal(got, announced) {
		t.Errorf("announced: got %d, %v; want %d", len(got), err, len(announced))
	}
	counts, err := ledger.Counts(t.Context(), tenantID, since)
	if want := investigation.Count(all, since); err != nil || !reflect.DeepEqual(counts, want) {
		t.Errorf("counts: got %+v, %v; want %+v", counts, err, want)
	}
}

// TestQueriesBesideBadRows: a malformed row is named by every query that reads it, takes no other's place, and
// is found again once it is mended.
func TestQueriesBesideBadRows(t *testing.T) {
	for _, damage := range []string{
		"record = 'x'", "record = x'00ff'", "outcome = 'lost'", "created_at = '2026'", "requestor = 'eve'",
		"record = json_set(record, '$.attempts', -1)",
	} {
		db := newDB(t)
		ledger := embedded.NewLedger(db)
		var ids []string
		for digit := range 8 {
			a := someAction(fmt.Sprint(digit), now.Add(time.Duration(digit)*time.Second))
			if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, a.ActionID)
		}
		spoiled := fmt.Sprintf("action_id IN ('%s', '%s', '%s')", ids[7], ids[6], ids[4])
		if err := db.Exec(t.Context(), "CREATE TABLE before AS SELECT action_id, record FROM actions"); err != nil {
			t.Fatal(err)
		}
		if err := db.Exec(t.Context(), "UPDATE actions SET "+damage+" WHERE "+spoiled); err != nil {
			t.Fatal(err)
		}
		for _, f := range []investigation.Filter{{Limit: 2}, {TenantID: tenant, Limit: 2}, {Machine: "host", Limit: 2},
			{State: "ready", Limit: 2}, {ActionID: "2", Limit: 2}} {
			got, err := ledger.Find(t.Context(), f)
			if (damage != "created_at = '2026'" && !errors.Is(err, investigation.ErrBadRecord)) || len(got) != 2 ||
				got[0].ActionID != ids[5] || got[1].ActionID != ids[3] {
				t.Errorf("%s: %+v: got %d, %v", damage, f, len(got), err)
			}
		}
		open, err := ledger.Open(t.Context(), tenant)
		if len(open) != 5 || !errors.Is(err, investigation.ErrBadRecord) ||
			strings.Count(err.Error(), "the row of action") != 3 || !strings.Contains(err.Error(), ids[6]) {
			t.Errorf("%s: open: got %d, %v", damage, len(open), err)
		}
		values, err := ledger.Values(t.Context(), investigation.Beginning{Field: investigation.FieldAction, Limit: 9})
		if len(values) != 5 || !errors.Is(err, investigation.ErrBadRecord) {
			t.Errorf("%s: values: got %d, %v", damage, len(values), err)
		}
		hosts, err := ledger.Values(t.Context(), investigation.Beginning{Field: investigation.FieldHost, Limit: 9})
		if len(hosts) != 1 || hosts[0].Text != "host.contoso.test" || hosts[0].Newest.ActionID != ids[5] ||
			(err != nil && strings.Count(err.Error(), ids[7]) > 1) {
			t.Errorf("%s: hosts: got %+v, %v", damage, hosts, err)
		}
		if err := db.Exec(t.Context(), `UPDATE actions SET record =
			(SELECT record FROM before AS b WHERE b.action_id = actions.action_id) WHERE `+spoiled); err != nil {
			t.Fatal(err)
		}
		unindex(t, db, spoiled)
		if found, err := ledger.Find(t.Context(), investigation.Filter{Limit: 2}); err != nil || len(found) != 2 ||
			found[0].ActionID != ids[7] || found[1].ActionID != ids[6] {
			t.Errorf("%s, mended: got %+v, %v", damage, found, err)
		}
	}
}

// TestWritingFillsTheColumns: an unindexed row is indexed by the next write of its record.
func TestWritingFillsTheColumns(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "packhorse.db"))
	ledger := embedded.NewLedger(db)
	a := someAction("1", now)
	if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
		t.Fatal(err)
	}
	unindex(t, db, "true")
	if _, err := ledger.Change(t.Context(), a.ID, investigation.Claim("ada", now, now.Add(time.Minute))); err != nil {
		t.Fatal(err)
	}
	got, err := db.Text(t.Context(), `SELECT state || ' ' || host || ' ' || created_at FROM actions`)
	if want := "fetching host.contoso.test 2026-11-03T09:00:00.123456700Z"; err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// TestQueriesReadOnlyTheirAnswers: every other record may be malformed, and no query notices. None reads the whole
// table either.
func TestQueriesReadOnlyTheirAnswers(t *testing.T) {
	db := newDB(t)
	ledger := embedded.NewLedger(db)
	wanted := someAction("0", now.Add(time.Hour))
	wanted.ComputerDNSName, wanted.Requestor, wanted.CaseID = "mine.contoso.test", "bob", "INC-1"
	wanted.MachineID = strings.Repeat("5", 40)
	wanted.ActionID = "0" + wanted.ActionID[1:]
	for digit := range 10 {
		a := someAction(fmt.Sprint(digit), now)
		a.Status = "Failed"
		if digit == 0 {
			a = wanted
		}
		if _, err := ledger.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
			t.Fatal(err)
		}
		if digit == 0 {
			continue
		}
		_, err := ledger.Seal(t.Context(), a.ID, investigation.Unchanged(), &memory.Sealer{})
		if err == nil {
			_, err = ledger.Change(t.Context(), a.ID, investigation.Announce(investigation.Conclusion{At: now}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Exec(t.Context(), "UPDATE actions SET record = 'x' WHERE action_id <> '"+wanted.ActionID+"'"); err != nil {
		t.Fatal(err)
	}
	for _, tenantID := range []string{"", tenant} {
		for _, f := range []investigation.Filter{
			{Limit: 1}, {ActionID: "0"}, {ActionID: wanted.ActionID}, {Machine: "mine"}, {Machine: "MINE.contoso.test"},
			{Machine: wanted.MachineID}, {Requestor: "BOB"}, {Case: "inc-1"}, {State: "ready"},
			{Since: now.Add(time.Minute)}, {Machine: "mine", Case: "inc-1", Requestor: "bob", State: "ready"},
		} {
			f.TenantID = tenantID
			got, err := ledger.Find(t.Context(), f)
			if err != nil || len(got) != 1 || got[0].ActionID != wanted.ActionID {
				t.Errorf("%+v: got %d, %v", f, len(got), err)
			}
			for _, step := range ledger.Plan(t, f) {
				if strings.Contains(step, "actions") && !strings.Contains(step, "USING COVERING INDEX") &&
					(f.Case == "" || f.Machine == "") && // more than one field needs a look at the row
					step != "SEARCH actions USING INTEGER PRIMARY KEY (rowid=?)" {
					t.Errorf("%+v: %s", f, step)
				}
			}
		}
		open, err := ledger.Open(t.Context(), tenantID)
		announced, announcedErr := ledger.Announced(t.Context(), tenantID, now.Add(1))
		counts, countErr := ledger.Counts(t.Context(), tenantID, now)
		if err := errors.Join(err, announcedErr, countErr); err != nil || len(open) != 1 || len(announced) != 0 ||
			counts.ByState[investigation.StateDone] != 9 || counts.NotCollected != 9 || counts.Archived != 0 {
			t.Errorf("got %d open, %d announced, %+v, %v", len(open), len(announced), counts, err)
		}
		for _, b := range []investigation.Beginning{
			{Field: investigation.FieldHost, Text: "mi"}, {Field: investigation.FieldCase, Text: "INC"},
			{Field: investigation.FieldRequestor, Text: "b"}, {Field: investigation.FieldAction, Text: "0"},
		} {
			b.TenantID, b.Limit = tenantID, 9
			values, err := ledger.Values(t.Context(), b)
			if err != nil || len(values) != 1 || values[0].Newest.ActionID != wanted.ActionID {
				t.Errorf("%+v: got %+v, %v", b, values, err)
			}
		}
	}
}
