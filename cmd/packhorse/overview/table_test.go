package overview_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/overview"
	"packhorse/internal/investigation"
	"packhorse/internal/status"
	"packhorse/internal/strictschema"
	"packhorse/internal/tenant"
)

var update = flag.Bool("update", false, "write the golden files")

var now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func id(n int) string { return fmt.Sprintf("7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c%02x", n) }

func record(n int, state investigation.State, change func(*investigation.Record)) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: id(0), ActionID: fmt.Sprintf("%08x-0000-4000-8000-000000000000", n*0x1234567)},
			MachineID: strings.Repeat("c", 40), ComputerDNSName: fmt.Sprintf("fin-ws-%02d.contoso.com", n),
			Requestor: "ana@contoso.com", CaseID: fmt.Sprintf("INC-%d", 4700+n),
			CreatedAt: now.Add(-time.Hour), LastUpdatedAt: now.Add(-50 * time.Minute), Status: "Succeeded",
		},
		State: state, Lane: investigation.LaneLive, DueAt: now.Add(-time.Minute), ObservedAt: now.Add(-time.Hour),
	}
	if change != nil {
		change(&rec)
	}
	return rec
}

// busy is a tenant with something of everything. Its hosts, cases and messages contain what controls a terminal.
func busy() status.Tenant {
	var open []investigation.Record
	for n := range 37 {
		open = append(open, record(n+1, investigation.StateReady, nil))
	}
	open[0].ComputerDNSName, open[0].CaseID = "evil\x1b]0;title\x07\u202ehost.contoso.com", "INC\x1b[2J"
	open = append(open,
		record(50, investigation.StateReady, func(r *investigation.Record) {
			r.DueAt, r.Cause, r.Attempts = now.Add(7*time.Minute), investigation.CauseNetwork, 2
			r.Message = "get the package URI: cannot connect\x1b[31m: the proxy's certificate is not trusted, and it goes on for a while"
		}),
		record(51, investigation.StateReady, func(r *investigation.Record) {
			r.DueAt, r.Cause, r.Message = now.Add(90*time.Second), investigation.CauseDownload, "the download broke"
		}),
		record(52, investigation.StateFetching, func(r *investigation.Record) {
			r.ClaimedAt, r.LeaseUntil, r.DueAt = now.Add(-20*time.Second), now.Add(100*time.Second), now.Add(100*time.Second)
			r.Owner, r.Attempts = "4711-ABCDEFGHIJKLMNOP", 1
		}),
		record(53, investigation.StateWaiting, func(r *investigation.Record) { r.CreatedAt = now.Add(-time.Minute) }),
		record(54, investigation.StateWaiting, func(r *investigation.Record) { r.CreatedAt = now.Add(-50 * time.Hour) }),
		record(55, investigation.StateArchived, nil),
	)
	return status.Of(status.Facts{
		Member: status.Member{ID: id(0)}, Health: tenant.Health{}.Succeeded(now.Add(-4 * time.Second)), Open: open,
		Counts: investigation.Counts{Since: now.Add(-status.Recent), Archived: 112, NotCollected: 3},
		Budget: status.Budget{FreeAt: []time.Time{now.Add(31 * time.Second), now.Add(40 * time.Second)},
			Hold: time.Minute + 250*time.Millisecond},
		Credential: status.Credential{
			Kind: tenant.Certificate, Thumbprint: strings.Repeat("1A2B", 10), Expires: now.Add(12*24*time.Hour + time.Hour),
		},
	}, now)
}

// others are tenants of which one needs a person.
func others() []status.Tenant {
	health := tenant.Health{}.Succeeded(now.Add(-2*time.Hour)).Failed(now.Add(-time.Hour), "").Failed(now,
		"list the tenant's actions: Entra ID refused the secret\x1b[2J: it has expired")
	return []status.Tenant{
		status.Of(status.Facts{Member: status.Member{ID: id(1)}, Health: health}, now),
		status.Of(status.Facts{Member: status.Member{ID: id(2)}, Health: tenant.Health{}.Succeeded(now)}, now),
		busy(),
	}
}

// fleet is the overview of a thousand tenants, of which 40 fail in the same way, one in another way, and one has work.
func fleet() status.Overview {
	o := status.Overview{Idle: 955, Stalest: now.Add(-43 * time.Second), Suspended: 3}
	for n := range 41 {
		message := "Entra ID: AADSTS700016: nobody has consented\x1b[2J"
		health := tenant.Health{}.Succeeded(now.Add(-2*time.Hour)).Failed(now.Add(-time.Hour), "").Failed(now, message)
		if n == 40 {
			health = tenant.Health{}
		}
		m := status.Member{ID: id(n + 1), Name: fmt.Sprintf("Customer %d", n+1)}
		t := status.Of(status.Facts{Member: m, Health: health}, now)
		t.Brief = true
		o.Tenants = append(o.Tenants, t)
	}
	work := busy()
	work.Name = "Contoso\x1b[31m Ltd"
	o.Tenants = append([]status.Tenant{work}, o.Tenants...)
	return o
}

// TestTable compares with the golden files, and checks what holds for every status: no control characters, and no line
// wider than the terminal.
func TestTable(t *testing.T) {
	t.Parallel()
	for name, tenants := range map[string]status.Overview{
		"one": {Tenants: []status.Tenant{busy()}}, "many": {Tenants: others()}, "none": {}, "fleet": fleet(),
	} {
		for _, width := range []int{80, 120} {
			var out bytes.Buffer
			if err := overview.Table(&out, tenants, now, width); err != nil {
				t.Fatal(err)
			}
			golden(t, fmt.Sprintf("%s%d.txt", name, width), out.Bytes())
			for line := range strings.Lines(out.String()) {
				line = strings.TrimSuffix(line, "\n")
				if columns := runewidth.StringWidth(line); columns > width {
					t.Errorf("%s: %d columns in %q", name, columns, line)
				}
				if strings.ContainsAny(line, "\x1b\x07\u202e\t\r") {
					t.Errorf("%s: control characters in %q", name, line)
				}
			}
		}
	}
}

// TestSentence: the first line alone answers how things stand.
func TestSentence(t *testing.T) {
	t.Parallel()
	well := tenant.Health{}.Succeeded(now)
	free := status.Budget{FreeAt: []time.Time{{}, {}}, Hold: time.Minute}
	for want, facts := range map[string]status.Facts{
		"Nothing to do.":                                {Health: well},
		"1 queued, stored in about 5 s.":                {Open: []investigation.Record{record(1, investigation.StateReady, nil)}, Budget: free},
		"1 queued.":                                     {Open: []investigation.Record{record(1, investigation.StateReady, nil)}},
		"1 being fetched, 1 waiting for its host.":      {Open: []investigation.Record{record(1, investigation.StateWaiting, nil), record(2, investigation.StateFetching, func(r *investigation.Record) { r.DueAt = now.Add(time.Minute) })}},
		"2 queued, the last in about 5 s, 1 postponed.": {Open: []investigation.Record{record(1, investigation.StateReady, nil), record(2, investigation.StateReady, nil), record(3, investigation.StateReady, func(r *investigation.Record) { r.DueAt = now.Add(time.Hour) })}, Budget: free},
	} {
		var out bytes.Buffer
		if err := overview.Table(&out, status.Overview{Tenants: []status.Tenant{status.Of(facts, now)}}, now, 0); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(out.String(), "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestCredentialRow: until when the credential lasts, and no row if nobody knows.
func TestCredentialRow(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for want, c := range map[string]status.Credential{
		"":                                       {},
		"Credential  federated, never expires\n": {Kind: tenant.Federated},
		"Credential  secret, expires in 30 days\n":            {Kind: tenant.ClientSecret, Expires: in(30*24*time.Hour + time.Hour)},
		"Credential  secret, expired on 2026-11-24\n":         {Kind: tenant.ClientSecret, Expires: now},
		"Credential  certificate 0123ABCD…, expires in 5 h\n": {Kind: tenant.Certificate, Thumbprint: "0123ABCD4567", Expires: in(5 * time.Hour)},
	} {
		var out bytes.Buffer
		facts := status.Facts{Member: status.Member{ID: id(0)}, Health: tenant.Health{}.Succeeded(now), Credential: c}
		if err := overview.Table(&out, status.Overview{Tenants: []status.Tenant{status.Of(facts, now)}}, now, 0); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "Credential") != (want != "") {
			t.Errorf("want %q in:\n%s", want, out.String())
		}
	}
}

// TestJSON: it is one line, as docs/lines describes it.
func TestJSON(t *testing.T) {
	t.Parallel()
	set, err := strictschema.LoadSet("../../../docs/lines", "event")
	if err != nil {
		t.Fatal(err)
	}
	for name, tenants := range map[string][]status.Tenant{"one": {busy()}, "many": others(), "none": nil} {
		var out bytes.Buffer
		if err := overview.JSON(&out, tenants, name == "one", now); err != nil {
			t.Fatal(err)
		}
		if event, err := set.Check(out.Bytes()); event != "status" || err != nil || bytes.Count(out.Bytes(), []byte("\n")) != 1 ||
			bytes.ContainsAny(out.Bytes(), "\x1b\x07") {
			t.Errorf("%s: %q, %v in %s", name, event, err, out.Bytes())
		}
		golden(t, name+".jsonl", out.Bytes())
	}
}

// TestScreen: a frame fits the terminal, is drawn over the last one, and the screen is given back.
func TestScreen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	screen, err := overview.NewScreen(&out)
	if err != nil {
		t.Fatal(err)
	}
	out.Reset()
	long := strings.Repeat("wide 漢字 ", 30)
	if err := screen.Draw("one\n"+long+"\nthree\nfour\nfive\n", "the end", 20, 5); err != nil {
		t.Fatal(err)
	}
	frame := out.String()
	if strings.Contains(frame, "\x1b[2J") || strings.Count(frame, "\r\n") != 4 || strings.Contains(frame, "four") ||
		!strings.HasPrefix(frame, "\x1b[H") || !strings.HasSuffix(frame, "the end\x1b[K\x1b[J") {
		t.Errorf("got %q", frame)
	}
	for _, line := range strings.Split(frame, "\r\n") {
		text := strings.NewReplacer("\x1b[H", "", "\x1b[K", "", "\x1b[J", "").Replace(line)
		if columns := runewidth.StringWidth(text); columns > 20 {
			t.Errorf("%d columns: %q", columns, text)
		}
	}
	out.Reset()
	if err := screen.Close(); err != nil || out.String() != "\x1b[?25h\x1b[?1049l" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s%v", name, got, want, err)
	}
}
