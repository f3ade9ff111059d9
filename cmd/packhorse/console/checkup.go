package console

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"packhorse/internal/doctor"
)

// Checkup is what the checks of packhorse doctor found.
type Checkup struct {
	Results []doctor.Result
	EndedAt time.Time
	First   string // what to do before anything else, as advice; empty if the results say it
}

// Style says how a table is drawn.
type Style struct {
	Width int // the most columns of a line; 0 means [LineMax]
	Color Color
}

// stateWidth is the width of the longest state.
const stateWidth = len(doctor.Warning)

// Table writes the results for people: grouped by area, in the order of the checks, each with the advice below it.
// A command to paste has a line of its own that is never broken. Of several tenants, it writes failures and warnings, and
// how many are well.
func (c Checkup) Table(out io.Writer, style Style) error {
	return atOnce(out, func(out io.Writer) error {
		if style.Width <= 0 || style.Width > LineMax {
			style.Width = LineMax
		}
		shared, ofTenants := c.split()
		names := 0
		for _, r := range shared {
			names = max(names, len(r.Name))
		}
		area := ""
		for _, r := range byArea(shared) {
			if r.Area != area {
				if area != "" {
					fmt.Fprintln(out)
				}
				area = r.Area
				fmt.Fprintln(out, area)
			}
			style.result(out, r, names)
		}
		if len(ofTenants) > 0 {
			style.tenants(out, ofTenants)
		}
		c.summary(out, style)
		return nil
	})
}

// byArea puts the results of each area together, the areas in the order of their first results.
func byArea(results []doctor.Result) []doctor.Result {
	first := map[string]int{}
	for i, r := range results {
		if _, ok := first[r.Area]; !ok {
			first[r.Area] = i
		}
	}
	return slices.SortedStableFunc(slices.Values(results), func(a, b doctor.Result) int {
		return cmp.Compare(first[a.Area], first[b.Area])
	})
}

func (s Style) result(out io.Writer, r doctor.Result, names int) {
	first := fmt.Sprintf("  %-*s  %-*s  ", stateWidth, r.State, names, r.Name)
	indent := strings.Repeat(" ", len(first))
	if s.Width-len(indent) < textMin { // a narrow terminal
		indent = strings.Repeat(" ", stateWidth+2*len(gap))
	}
	text := FillTo(s.Width, CleanLine(r.Text), first, indent)
	fmt.Fprintln(out, s.colored(r.State, text))
	s.advice(out, r.Advice, strings.Repeat(" ", stateWidth+2*len(gap)))
}

// textMin is the least width that is left for the text beside a name.
const textMin = 24

// colored colors the state at the beginning of a line. Everything that is well stays plain.
func (s Style) colored(state doctor.State, line string) string {
	painted := string(state)
	switch state {
	case doctor.Failed:
		painted = s.Color.bad(painted)
	case doctor.Warning:
		painted = s.Color.caution(painted)
	}
	return strings.Replace(line, string(state), painted, 1)
}

func (s Style) advice(out io.Writer, advice, indent string) {
	if advice == "" {
		return
	}
	why, command := doctor.Command(CleanLine(advice))
	if command != "" && why != "" {
		why += ":"
	}
	if why != "" {
		fmt.Fprintln(out, FillTo(s.Width, why, indent+"→ ", indent+"  "))
	}
	if command != "" {
		fmt.Fprintln(out, indent+"  "+command)
	}
}

// summary writes how many checks came out how, and what to do first.
func (c Checkup) summary(out io.Writer, style Style) {
	counts := c.counts()
	fmt.Fprintf(out, "\n%s\n", counts)
	if c.First != "" {
		fmt.Fprintln(out, FillTo(style.Width, CleanLine(c.First), "Next: ", "      "))
		return
	}
	next, ok := c.next()
	if !ok {
		return
	}
	of := ""
	if _, ofTenants := c.split(); next.Tenant != "" && len(ofTenants) > 0 {
		of = " of " + CleanLine(TenantTitle(next))
	}
	fmt.Fprintf(out, "Next: mend %s%s\n", next.Name, of)
	style.advice(out, next.Advice, "  ")
}

// next returns the result to mend first: of the worst that bring advice, the first. What others need comes before
// them in the list, so mending it may mend those too.
func (c Checkup) next() (doctor.Result, bool) {
	for _, state := range []doctor.State{doctor.Failed, doctor.Warning, doctor.Skipped} {
		for _, r := range c.Results {
			if r.State == state && r.Advice != "" {
				return r, true
			}
		}
	}
	return doctor.Result{}, false
}

// tally is how many checks came out how.
type tally struct {
	OK       int `json:"ok"`
	Warnings int `json:"warnings"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
}

func (c Checkup) counts() (t tally) {
	for _, r := range c.Results {
		switch r.State {
		case doctor.OK:
			t.OK++
		case doctor.Warning:
			t.Warnings++
		case doctor.Failed:
			t.Failed++
		case doctor.Skipped:
			t.Skipped++
		}
	}
	return t
}

// String leaves out what there is none of.
func (t tally) String() string {
	parts := []string{fmt.Sprintf("%d ok", t.OK)}
	for _, p := range []struct {
		n        int
		one, all string
	}{{t.Warnings, "warning", "warnings"}, {t.Failed, "failed", "failed"}, {t.Skipped, "skipped", "skipped"}} {
		switch p.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+p.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.all))
		}
	}
	return strings.Join(parts, ", ")
}

// Failed reports whether a check failed.
func (c Checkup) Failed() bool { return c.counts().Failed > 0 }

// checkLine is one result, as JSON.
type checkLine struct {
	Head
	Name   string `json:"name"`
	Area   string `json:"area"`
	State  string `json:"state"`
	Text   string `json:"text"`
	Advice string `json:"advice"`

	// Of one tenant of many.
	TenantID   string `json:"tenantId,omitempty"`
	TenantName string `json:"tenantName,omitempty"`
}

// doctorLine is the summary, as JSON.
type doctorLine struct {
	Head
	tally
	Next   string `json:"next"` // the check to mend first; empty if there is none
	Advice string `json:"advice"`

	TenantID string `json:"tenantId,omitempty"` // whose check that is, of many
}

// CheckupJSON writes one JSON object per line: a check when its result is known, and at the end a summary.
type CheckupJSON struct {
	out    io.Writer
	now    func() time.Time
	failed error // the first failed write
}

// NewCheckupJSON returns a CheckupJSON that writes to out.
func NewCheckupJSON(out io.Writer, now func() time.Time) *CheckupJSON {
	return &CheckupJSON{out: out, now: now}
}

// Told writes the line of a result.
func (j *CheckupJSON) Told(r doctor.Result) {
	if j.failed == nil {
		j.failed = WriteJSON(j.out, checkLine{
			NewHead("check", false, j.now()), r.Name, r.Area, string(r.State), r.Text, r.Advice, r.Tenant, r.TenantName,
		})
	}
}

// Summary writes the last line. It returns the first error of all writes.
func (j *CheckupJSON) Summary(c Checkup) error {
	if j.failed != nil {
		return j.failed
	}
	line := doctorLine{Head: NewHead("doctor", false, c.EndedAt), tally: c.counts(), Advice: c.First}
	if next, ok := c.next(); ok && c.First == "" {
		line.Next, line.Advice, line.TenantID = next.Name, next.Advice, next.Tenant
	}
	return WriteJSON(j.out, line)
}

// CheckupBar shows on a terminal how many checks are done, until it is closed.
type CheckupBar struct {
	mu   sync.Mutex // guards what follows
	out  io.Writer
	done int
	all  int
}

// NewCheckupBar draws on out, which MUST be a terminal.
func NewCheckupBar(out io.Writer, all int) *CheckupBar {
	b := &CheckupBar{out: out, all: all}
	b.draw()
	return b
}

const clearLine = "\r\x1b[K"

func (b *CheckupBar) draw() { fmt.Fprintf(b.out, clearLine+"%d of %d checks done", b.done, b.all) }

// Told counts a result.
func (b *CheckupBar) Told(doctor.Result) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
	b.draw()
}

// Close clears the line.
func (b *CheckupBar) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	fmt.Fprint(b.out, clearLine)
}
