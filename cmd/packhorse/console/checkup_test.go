package console_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/doctor"
)

func examined() []doctor.Result {
	result := func(name, area string, f doctor.Finding) doctor.Result {
		return doctor.Result{Check: doctor.Check{Name: name, Area: area}, Finding: f}
	}
	return []doctor.Result{
		result("settings", "Settings", doctor.Good("tenant t in the commercial cloud")),
		result("network.authority", "Network", doctor.Fail("check the name in DEFENDER_AUTHORITY_URL, and the name server",
			"the name of login.example cannot be resolved through the proxy proxy.example:3128")),
		result("links.hosts", "Defender", doctor.Warn("if it is Microsoft's, allow it: export DEFENDER_LINK_HOSTS="+
			strings.Repeat(".a-long-suffix.example,", 5)+"b.example", "a host\x1b[31m with\ncontrol characters")),
		result("token", "Defender", doctor.Skip("", "needs network.authority, which failed")),
	}
}

const checkupTable = `Settings
  ok       settings           tenant t in the commercial cloud

Network
  failed   network.authority  the name of login.example cannot be resolved
                              through the proxy proxy.example:3128
           → check the name in DEFENDER_AUTHORITY_URL, and the name server

Defender
  warning  links.hosts        a host [31m with control characters
           → if it is Microsoft's, allow it:
             export DEFENDER_LINK_HOSTS=.a-long-suffix.example,.a-long-suffix.example,.a-long-suffix.example,.a-long-suffix.example,.a-long-suffix.example,b.example
  skipped  token              needs network.authority, which failed

1 ok, 1 warning, 1 failed, 1 skipped
Next: mend network.authority
  → check the name in DEFENDER_AUTHORITY_URL, and the name server
`

// TestCheckupTable: lines fit the width, except commands, which are never broken; nothing controls the terminal.
func TestCheckupTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := (console.Checkup{Results: examined()}).Table(&out, console.Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	if out.String() != checkupTable {
		t.Errorf("got\n%s", out.String())
	}
	for _, width := range []int{40, 60, 0} {
		out.Reset()
		if err := (console.Checkup{Results: examined()}).Table(&out, console.Style{Width: width}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(out.String(), "\n") {
			if limit := max(width, 40); width > 0 && runewidth.StringWidth(line) > limit && !strings.Contains(line, "export ") {
				t.Errorf("%d columns: %q", width, line)
			}
		}
	}
	out.Reset()
	if err := (console.Checkup{Results: examined()}).Table(&out, console.Style{Color: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  ok  ", "\x1b[31mfailed\x1b[39m ", "\x1b[33mwarning\x1b[39m ", "  skipped "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in %q", want, out.String())
		}
	}
}

func TestCheckupWell(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	well := console.Checkup{Results: examined()[:1]}
	if err := well.Table(&out, console.Style{}); err != nil || well.Failed() || !strings.HasSuffix(out.String(), "\n1 ok\n") {
		t.Errorf("got %v, %s", err, out.String())
	}
	if !(console.Checkup{Results: examined()}).Failed() {
		t.Error("a failure is not one")
	}
}

func TestCheckupJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var out bytes.Buffer
	lines := console.NewCheckupJSON(&out, func() time.Time { return at })
	for _, r := range examined() {
		lines.Told(r)
	}
	if err := lines.Summary(console.Checkup{Results: examined(), EndedAt: at}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b") {
		t.Errorf("a control character: %q", out.String())
	}
	all := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := `{"event":"check","time":"2026-03-04T05:06:07Z","version":"1","name":"settings","area":"Settings","state":"ok",` +
		`"text":"tenant t in the commercial cloud","advice":""}`; all[0] != want {
		t.Errorf("got %s", all[0])
	}
	if want := `{"event":"doctor","time":"2026-03-04T05:06:07Z","version":"1","ok":1,"warnings":1,"failed":1,"skipped":1,` +
		`"next":"network.authority","advice":"check the name in DEFENDER_AUTHORITY_URL, and the name server"}`; all[4] != want {
		t.Errorf("got %s", all[4])
	}
	var third struct{ Text string }
	if err := json.Unmarshal([]byte(all[2]), &third); err != nil || third.Text != examined()[2].Text {
		t.Errorf("got %q, %v", third.Text, err)
	}
}

type brokenPipe struct{ error }

func (b brokenPipe) Write([]byte) (int, error) { return 0, b.error }

// TestCheckupBroken: a write that fails is not hidden by later ones.
func TestCheckupBroken(t *testing.T) {
	t.Parallel()
	broken := brokenPipe{errors.New("broken pipe")}
	lines := console.NewCheckupJSON(broken, time.Now)
	lines.Told(examined()[0])
	if err := lines.Summary(console.Checkup{}); !errors.Is(err, broken.error) {
		t.Errorf("got %v", err)
	}
	if err := (console.Checkup{Results: examined()}).Table(broken, console.Style{}); !errors.Is(err, broken.error) {
		t.Errorf("got %v", err)
	}
}

// TestCheckupBar leaves nothing on the terminal.
func TestCheckupBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	bar := console.NewCheckupBar(&out, 2)
	bar.Told(doctor.Result{})
	bar.Told(doctor.Result{})
	bar.Close()
	if want := "\r\x1b[K0 of 2 checks done\r\x1b[K1 of 2 checks done\r\x1b[K2 of 2 checks done\r\x1b[K"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
}
