package console_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// tenantOf returns the id of the i-th tenant.
func tenantOf(i int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000000", i+1) }

// customers returns n tenants. The first has no name, and those listed in failing fail.
func customers(n int, failing ...int) []tenant.Served {
	var all []tenant.Served
	for i := range n {
		all = append(all, tenant.Served{ID: tenantOf(i), Name: fmt.Sprintf("Customer %d", i)})
	}
	all[0].Name = ""
	for at, i := range failing {
		all[i].Failing, all[i].Person = true, at > 0
	}
	return all
}

// in returns the record as one of another tenant.
func in(i int, rec investigation.Record) investigation.Record {
	rec.TenantID = tenantOf(i)
	return rec
}

// TestTerminalWithTenants: bars and lines say which tenant they are about, one line sums all of them up, and nothing is
// wider than the terminal.
func TestTerminalWithTenants(t *testing.T) {
	for _, width := range []int{80, 200} {
		synctest.Test(t, func(t *testing.T) {
			var got strings.Builder
			s := &screen{width: width, height: 24}
			term := console.NewTerminalOn(s, time.Now)
			term.Tenants(customers(12))
			for i := range 12 {
				term.Began(tenantOf(i), true)
			}
			for i := range 2 {
				rec := in(i, ready("fin-ws-17.contoso.com")) // the same action id in two tenants
				term.Observed(rec)
				term.Swept(rec.TenantID, nil)
				term.Queue(rec.TenantID, 30, time.Now().Add(time.Duration(i+1)*15*time.Minute))
				term.Budget(rec.TenantID, []time.Time{time.Now().Add(time.Minute)})
			}
			got.WriteString(s.text("two of twelve tenants have something ready"))
			for i := range 2 {
				rec := in(i, fetching("fin-ws-17.contoso.com", 1))
				term.Fetching(rec)
				pull(t, term.Download(rec.Action, 10<<20, body(10<<20)), int64(i+1)<<20)
			}
			term.Swept(tenantOf(3), errors.New("503"))
			term.Tenants(customers(12, 3))
			got.WriteString(s.text("both are fetched, and one tenant fails"))
			term.Decided(in(0, archived("fin-ws-17.contoso.com", 10<<20)))
			term.Postponed(in(1, postponed("fin-ws-17.contoso.com")), errors.New("x"))
			term.Tenants(customers(12, 3, 4, 5, 6, 7))
			got.WriteString(s.text("five fail, four of which need a person"))
			term.Tenants(customers(1))
			got.WriteString(s.text("one tenant is left"))
			term.Close()
			for line := range strings.Lines(got.String()) {
				if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); n > width && !strings.HasPrefix(line, "postponed") {
					t.Errorf("at %d columns: got %d in %q", width, n, line)
				}
			}
			if n := strings.Count(got.String(), "SIMULATION"); n != 4 { // the number of pictures
				t.Errorf("told %d times that it is a simulation", n)
			}
			golden(t, fmt.Sprintf("tenants%d.txt", width), got.String())
		})
	}
}

// TestTenantNames: a name from the registry cannot control the terminal or take the whole line; equal names differ.
func TestTenantNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &screen{width: 80, height: 24}
		term := console.NewTerminalOn(s, time.Now)
		all := []tenant.Served{
			{ID: tenantOf(0), Name: trick(), Failing: true, Person: true}, {ID: tenantOf(1), Name: strings.Repeat("調", 40)},
			{ID: tenantOf(2), Name: "Twin"}, {ID: tenantOf(3), Name: "Twin"}, {Name: "the registry", Failing: true},
		}
		term.Tenants(all)
		for i := range 4 {
			term.Fetching(in(i, fetching("host.contoso.com", 1)))
		}
		above, bars := s.shows()
		term.Close()
		text := strings.Join(append(above, bars...), "\n")
		for _, want := range []string{"Twin 00000003: host", "Twin 00000004: host", "調…: host", "5 tenants · 2 failing ("} {
			if !strings.Contains(text, want) {
				t.Errorf("there is no %q in %q", want, text)
			}
		}
		if strings.ContainsAny(text, "\x1b\u202e\x07") {
			t.Errorf("a name controls the terminal: %q", text)
		}
	})
}

// TestLinesWithTenants: a log says whose each action is, and once that all is a simulation.
func TestLinesWithTenants(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := console.NewLines(&out, clock)
	l.Tenants(customers(2))
	for i := range 2 {
		l.Began(tenantOf(i), true)
		l.Observed(in(i, ready("fin-ws-17.contoso.com")))
		l.Fetching(in(i, fetching("fin-ws-17.contoso.com", 1)))
		l.Decided(in(i, archived("fin-ws-17.contoso.com", 7)))
	}
	for want, times := range map[string]int{
		"SIMULATION": 1, " 00000001: fin-ws-17.contoso.com": 3, " Customer 1: fin-ws-17.contoso.com": 3,
	} {
		if got := strings.Count(out.String(), want); got != times {
			t.Errorf("%q is there %d times, want %d: %s", want, got, times, out.String())
		}
	}
}

// TestJSONWithTenants: each line says whose it is, and a tenant's budget is not taken for another's.
func TestJSONWithTenants(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	j := console.NewJSON(&out, clock)
	for i := range 2 {
		j.Began(tenantOf(i), false)
	}
	var summaries []console.Summary
	for i := range 2 {
		j.Swept(tenantOf(i), nil)
		j.Budget(tenantOf(i), []time.Time{clock().Add(time.Minute)})
		j.Budget(tenantOf(i), []time.Time{clock().Add(time.Minute)}) // the same again
		summaries = append(summaries, console.Summary{TenantID: tenantOf(i)})
	}
	if err := j.Summaries(summaries); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		for event, want := range map[string]int{"sweep": 1, "budget": 1, "summary": 1} {
			got := 0
			for line := range strings.Lines(out.String()) {
				if strings.Contains(line, `"event":"`+event+`"`) && strings.Contains(line, `"tenantId":"`+tenantOf(i)+`"`) {
					got++
				}
			}
			if got != want {
				t.Errorf("tenant %d: %d lines %s: %s", i, got, event, out.String())
			}
		}
	}
	if err := console.NewJSON(fullDisk{}, clock).Summaries(summaries); err == nil {
		t.Error("a failed write went unnoticed")
	}
}

// fullDisk is a file on a full disk.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// TestTables: the summary of several tenants, and of one.
func TestTables(t *testing.T) {
	t.Parallel()
	one := func(i int, name string, records ...investigation.Record) console.Summary {
		for at := range records {
			records[at] = in(i, records[at])
		}
		s := summary(records...)
		s.TenantID, s.Name, s.Simulated = tenantOf(i), name, true
		s.Judge = &console.Judgement{Passed: true, PerMinute: 2, PackageURICalls: i, MostInAnyMinute: 1}
		s.Evidence = console.Evidence{KeyID: digest("e"), Check: "packhorse verify", Find: "packhorse list"}
		if len(records) > 0 {
			s.Evidence.Sequence = int64(len(records))
		}
		return s
	}
	all := []console.Summary{
		one(0, "", done(archived("fin-ws-17.contoso.com", 10<<20), at.Add(time.Minute)), waiting("hr-nb-03.contoso.com")),
		one(1, trick(), done(notCollected("kiosk.contoso.com", investigation.ReasonFailed), at.Add(time.Minute))),
		one(2, "Idle"),
	}
	all[1].Judge.Passed, all[1].Judge.BrokenRules = false, []string{"a third call in a minute"}
	for _, width := range []int{0, 80, 120} {
		var out bytes.Buffer
		if err := console.Tables(&out, width, all); err != nil {
			t.Fatal(err)
		}
		golden(t, fmt.Sprintf("tables%d.txt", width), out.String())
		for line := range strings.Lines(out.String()) {
			if n := runewidth.StringWidth(strings.TrimSuffix(line, "\n")); width > 0 && n > width {
				t.Errorf("at %d columns: got %d in %q", width, n, line)
			}
		}
	}
	var single, table bytes.Buffer
	if err := errors.Join(console.Tables(&single, 80, all[:1]), all[0].Table(&table, 80)); err != nil || single.String() != table.String() {
		t.Errorf("one tenant: %v, %s", err, single.String())
	}
}
