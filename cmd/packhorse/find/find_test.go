package find_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/find"
	"packhorse/internal/investigation"
)

const (
	tenantA = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	tenantB = "99999999-2222-4333-8444-555555555555"
	machine = "00000000000000000000000000000000000003e9"
)

var day = time.Date(2026, 11, 25, 6, 41, 0, 0, time.UTC)

// ledger is a ledger in memory that fails with err after it has searched.
type ledger struct {
	records []investigation.Record
	err     error
	asked   *int
}

func (l ledger) Find(_ context.Context, f investigation.Filter) ([]investigation.Record, error) {
	if l.asked != nil {
		*l.asked++
	}
	return f.Select(l.records), l.err
}

func (l ledger) Values(_ context.Context, b investigation.Beginning) ([]investigation.Value, error) {
	return b.Values(investigation.Filter{}.Select(l.records)), l.err
}

// rec returns an archived package requested n minutes after another.
func rec(tenant, id, host, caseID string, n int) investigation.Record {
	r := investigation.Record{State: investigation.StateDone, Action: investigation.Action{
		ID: investigation.ID{TenantID: tenant, ActionID: id}, MachineID: machine, ComputerDNSName: host,
		CaseID: caseID, CreatedAt: day.Add(time.Duration(n) * time.Minute),
	}}
	key, err := investigation.KeyOf("packages/", r.Action)
	if err != nil {
		panic(err)
	}
	r.Receipt = investigation.Receipt{Key: string(key), Size: 1}
	return r
}

const (
	id1 = "3f2a81c0-1111-4aaa-8bbb-000000000001"
	id2 = "3f2a81c0-1222-4aaa-8bbb-000000000002"
	id3 = "deadbeef-0d5e-4b53-9a0e-3d1f6f0a9c13"
	id4 = "0a000000-0d5e-4b53-9a0e-3d1f6f0a9c14"
)

func records() []investigation.Record {
	return []investigation.Record{
		rec(tenantA, id1, "fin-ws-17.contoso.com", "INC-4711", 1),
		rec(tenantA, id2, "fin-ws-17.contoso.com", "INC-4711", 2),
		rec(tenantA, id3, "hr-ws-01.contoso.com", "INC-4712", 3),
		rec(tenantB, id4, "dead", "", 4),
	}
}

func TestOne(t *testing.T) {
	t.Parallel()
	all := ledger{records: records()}
	key := all.records[2].Receipt.Key
	quarantined, err := investigation.QuarantineKeyOf(all.records[2].Action)
	if err != nil {
		t.Fatal(err)
	}
	file := key[strings.LastIndex(key, "/")+1:]
	for text, want := range map[string]string{
		id1: id1, strings.ToUpper(id2): id2, "dead": "", "deadb": id3, "DEADBEEF": id3, "3f2a81c0-12": id2,
		"hr-ws-01": id3, "HR-WS-01.contoso.com": id3, "inc-4712": id3, "0a00": id4, "0a0": "", "3f2a": "",
		key: id3, "s3://evidence/" + key: id3, "/mnt/copy/" + key: id3, `C:\copy\` + strings.ReplaceAll(key, "/", `\`): id3,
		strings.TrimSuffix(key, ".zip") + ".json": id3, strings.TrimSuffix(key, ".zip") + ".json.sig": id3,
		strings.TrimSuffix(key, ".zip") + "~1.zip": id3, file: id3, "./" + file: id3, string(quarantined): id3,
		"s3://b/" + string(quarantined): id3,
	} {
		got, err := find.One(t.Context(), all, find.Query{Text: text})
		if got.ActionID != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", text, got.ActionID, err, want)
		}
	}
	for _, text := range []string{key, "deadb", "INC-4712", "hr-ws-01"} {
		if _, err := find.One(t.Context(), all, find.Query{Text: text, TenantID: tenantB}); err == nil {
			t.Errorf("%s was found in another tenant", text)
		}
	}
	for _, text := range []string{"", " \t"} {
		if _, err := find.One(t.Context(), all, find.Query{Text: text}); !errors.Is(err, find.ErrEmpty) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAmbiguous: an error lists the candidates, newest first, and a command with an id that finds just one.
func TestAmbiguous(t *testing.T) {
	t.Parallel()
	all := ledger{records: records()}
	for text, newest := range map[string]string{"fin-ws-17": id2, "INC-4711": id2, "3f2a": "", "dead": ""} {
		q := find.Query{Text: text, Command: "packhorse show"}
		_, err := find.One(t.Context(), all, q)
		ambiguous, ok := errors.AsType[*find.AmbiguousError](err)
		if !ok {
			t.Errorf("%s: %v", text, err)
			continue
		}
		typed, hasCommand := strings.CutPrefix(ambiguous.Advice(), "packhorse show ")
		id, _, _ := strings.Cut(typed, ",")
		got, err := find.One(t.Context(), all, find.Query{Text: id})
		if err != nil || !hasCommand || got.ActionID != ambiguous.Candidates[0].ActionID {
			t.Errorf("%s: the advice %q finds %v, %v", text, ambiguous.Advice(), got.ActionID, err)
		}
		if strings.Contains(ambiguous.Advice(), "--newest") != (newest != "") {
			t.Errorf("%s: the advice is %q", text, ambiguous.Advice())
		}
		q.Newest = true
		if got, err := find.One(t.Context(), all, q); got.ActionID != newest {
			t.Errorf("%s: the newest is %q, %v", text, got.ActionID, err)
		}
	}
	_, err := find.One(t.Context(), all, find.Query{Text: "fin-ws-17"})
	want := `"fin-ws-17" names 2 packages:
  3f2a81c0-12  2026-11-25 06:43  fin-ws-17.contoso.com  INC-4711  archived
  3f2a81c0-11  2026-11-25 06:42  fin-ws-17.contoso.com  INC-4711  archived`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// TestMany: of 2,000 candidates, an error lists ten and counts the others.
func TestMany(t *testing.T) {
	t.Parallel()
	var all []investigation.Record
	for i := range 2000 {
		all = append(all, rec(tenantA, fmt.Sprintf("%040x", i*7919), "a\x1b[2Jb", "C", i))
	}
	_, err := find.One(t.Context(), ledger{records: all}, find.Query{Text: "c"})
	ambiguous, ok := errors.AsType[*find.AmbiguousError](err)
	if !ok || len(ambiguous.Candidates) != 10 || ambiguous.More != 1990 ||
		ambiguous.Candidates[0].ActionID != all[1999].ActionID {
		t.Fatalf("%v", err)
	}
	if text := ambiguous.Error(); strings.Count(text, "\n") != 11 || strings.Contains(text, "\x1b") ||
		!strings.HasPrefix(text, `"c" names 2000 packages:`) || !strings.HasSuffix(text, "\n  and 1990 more") {
		t.Errorf("%s", text)
	}
	got, err := find.Some(t.Context(), ledger{records: all}, find.Query{Text: "c"})
	if err != nil || len(got) != 2000 || got[0].ActionID != all[1999].ActionID {
		t.Errorf("some: %d, %v", len(got), err)
	}
	for i, id := range find.ShortIDs(all) {
		got, err := find.One(t.Context(), ledger{records: all}, find.Query{Text: id})
		if err != nil || got.ActionID != all[i].ActionID {
			t.Fatalf("%s: %v", id, err)
		}
	}
}

func TestSome(t *testing.T) {
	t.Parallel()
	all := ledger{records: records()}
	for text, want := range map[string]int{"fin-ws-17": 2, "INC-4711": 2, "deadbeef": 1, "3f2a": -1, "nobody": 0} {
		got, err := find.Some(t.Context(), all, find.Query{Text: text})
		_, ambiguous := errors.AsType[*find.AmbiguousError](err)
		_, none := errors.AsType[*find.NotFoundError](err)
		if ambiguous != (want < 0) || none != (want == 0) || len(got) != max(0, want) {
			t.Errorf("%s: %d, %v", text, len(got), err)
		}
	}
}

// TestSeveralCustomers: what two tenants have is never picked silently, not even with --newest.
func TestSeveralCustomers(t *testing.T) {
	t.Parallel()
	all := ledger{records: []investigation.Record{
		rec(tenantA, id1, "fin-ws-17.contoso.com", "INC-4711", 1), rec(tenantB, id3, "fin-ws-17.fabrikam.com", "INC-4711", 2),
	}}
	q := find.Query{Text: "INC-4711", Command: "packhorse get", Newest: true, Names: func(context.Context) map[string]string {
		return map[string]string{tenantB: "Fab\x1b[2Jrikam"}
	}}
	_, err := find.One(t.Context(), all, q)
	ambiguous, ok := errors.AsType[*find.AmbiguousError](err)
	want := `"INC-4711" names 2 packages:
  deadbeef  Fab [2Jrikam  2026-11-25 06:43  fin-ws-17.fabrikam.com  INC-4711  archived
  3f2a81c0  7f1c2a44      2026-11-25 06:42  fin-ws-17.contoso.com   INC-4711  archived`
	if !ok || err.Error() != want || ambiguous.Advice() != "packhorse get deadbeef, or say whose it is with --tenant" {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	q.TenantID = tenantA
	if got, err := find.One(t.Context(), all, q); err != nil || got.ActionID != id1 {
		t.Errorf("of one tenant: %q, %v", got.ActionID, err)
	}
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	all := ledger{records: records()}
	for text, advice := range map[string]string{
		"fin-ws-18":              "did you mean fin-ws-17? packhorse list",
		"fin":                    "did you mean fin-ws-17? ",
		"FIN-WS17":               "did you mean fin-ws-17? packhorse list",
		"INC-471":                "did you mean INC-4711, INC-4712? packhorse list",
		"fin-ws-17.contoso.org":  "did you mean fin-ws-17.contoso.com? ",
		"completely-different":   "packhorse list shows what the ledger has",
		strings.Repeat("x", 1e6): "packhorse list shows what the ledger has",
	} {
		_, err := find.One(t.Context(), all, find.Query{Text: text, Where: "d/packhorse.db"})
		none, ok := errors.AsType[*find.NotFoundError](err)
		if !ok || !strings.HasPrefix(none.Advice(), advice) || !strings.Contains(err.Error(), "d/packhorse.db") {
			t.Errorf("%.30s: %v", text, err)
		} else if len(err.Error()) > 500 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	evil := rec(tenantA, id1, "evil\x1b]0;x\x07", "", 1)
	_, err := find.One(t.Context(), ledger{records: []investigation.Record{evil}}, find.Query{Text: "evil\x1b]0;x"})
	none, _ := errors.AsType[*find.NotFoundError](err)
	if none == nil || strings.ContainsAny(err.Error()+none.Advice(), "\x1b\x07") || len(none.Nearest) != 1 {
		t.Errorf("%q", err)
	}
}

// TestBrokenLedger: malformed records do not hide the others, but are reported if nothing is found.
func TestBrokenLedger(t *testing.T) {
	t.Parallel()
	bad := fmt.Errorf("row 7: %w", investigation.ErrBadRecord)
	if _, err := find.One(t.Context(), ledger{records(), bad, nil}, find.Query{Text: id1}); err != nil {
		t.Error(err)
	}
	_, err := find.One(t.Context(), ledger{nil, bad, nil}, find.Query{Text: id1})
	if _, none := errors.AsType[*find.NotFoundError](err); !none || !errors.Is(err, investigation.ErrBadRecord) {
		t.Errorf("%v", err)
	}
	asked := 0
	_, err = find.One(t.Context(), ledger{records(), context.DeadlineExceeded, &asked}, find.Query{Text: id1})
	if !errors.Is(err, context.DeadlineExceeded) || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

func TestShortIDs(t *testing.T) {
	t.Parallel()
	all := append(records(), rec(tenantB, id1, "h", "", 9))
	for i, want := range []string{id1, "3f2a81c0-12", "deadbeef", "0a000000", id1} {
		if got := find.ShortIDs(all)[i]; got != want {
			t.Errorf("%d: got %s, want %s", i, got, want)
		}
	}
	_, err := find.One(t.Context(), ledger{records: all}, find.Query{Text: id1, Command: "packhorse get"})
	ambiguous, _ := errors.AsType[*find.AmbiguousError](err)
	if ambiguous == nil || ambiguous.Advice() != "packhorse get "+all[4].Receipt.Key+", or say whose it is with --tenant" {
		t.Errorf("one action of two tenants: %v", err)
	}
	for i := range all {
		all[i].Receipt.Key = ""
	}
	_, err = find.One(t.Context(), ledger{records: all}, find.Query{Text: id1, Command: "packhorse get"})
	if ambiguous, _ := errors.AsType[*find.AmbiguousError](err); ambiguous == nil || ambiguous.Advice() != "say whose it is: --tenant "+tenantB {
		t.Errorf("without keys: %v", err)
	}
	if got := find.ShortIDs(nil); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
