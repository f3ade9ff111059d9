// Package overview shows the status of tenants: as tables for people, or as JSON.
package overview

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/find"
	"packhorse/internal/status"
)

// rowsMax is how many packages of a kind are listed.
const rowsMax = 15

// Table writes the status for people: one tenant in detail, several with a line each and what a person must mend, and of
// many only those that need a person or have work. Rows are at most width columns wide, unless that is 0.
func Table(out io.Writer, o status.Overview, now time.Time, width int) error {
	var text strings.Builder
	switch {
	case o.All() == 0:
		text.WriteString("nothing yet: no tenant was swept, and no action is known\n")
	case o.All() == 1 && len(o.Tenants) == 1:
		one(&text, o.Tenants[0], now, width)
	default:
		many(&text, o, now, width)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// one writes one tenant in detail.
func one(out *strings.Builder, t status.Tenant, now time.Time, width int) {
	head := sentence(t, now)
	head = strings.ToUpper(head[:1]) + head[1:] + "."
	if width > 0 {
		head = console.FillTo(width, head, "", "")
	}
	out.WriteString(head + "\n\n")
	facts := console.Grid{Width: width, Shrink: []int{1}}
	facts.Row("Tenant", full(t))
	if t.Suspended {
		facts.Row("State", "suspended: nothing is looked for or fetched; packhorse tenant resume continues")
	}
	facts.Row("Sweeps", sweeps(t, now))
	facts.Row("Waiting", waits(t, now))
	facts.Row("Queued", queued(t, now))
	facts.Row("Budget", budget(t, now))
	facts.Row("Last 24 h", recent(t))
	if t.Credential.Kind != "" {
		facts.Row("Credential", credential(t.Credential, now))
	}
	write(out, &facts)
	mend(out, []status.Tenant{t}, width)
	fetching(out, t, now, width)
	next(out, t, now, width)
	postponed(out, t, now, width)
}

func fetching(out *strings.Builder, t status.Tenant, now time.Time, width int) {
	if len(t.Fetching) == 0 {
		return
	}
	out.WriteString("\nBEING FETCHED\n")
	grid := console.Grid{Width: width, Shrink: []int{0, 2, 5}}
	grid.Row("HOST", "ACTION", "CASE", "SINCE", "ATTEMPT", "BY", "LEASE ENDS IN")
	ids := find.ShortIDs(t.Fetching)
	for i, rec := range t.Fetching[:min(rowsMax, len(t.Fetching))] {
		since := "–"
		if !rec.ClaimedAt.IsZero() {
			since = ago(rec.ClaimedAt, now)
		}
		grid.Row(console.Host(rec.Action), ids[i], caseOf(rec), since, fmt.Sprint(rec.Attempts),
			console.Clean(rec.Owner[:min(12, len(rec.Owner))]), in(rec.LeaseUntil, now))
	}
	write(out, &grid)
	more(out, len(t.Fetching)-rowsMax, "")
}

// next lists the packages that will be fetched next.
func next(out *strings.Builder, t status.Tenant, now time.Time, width int) {
	due := slices.DeleteFunc(slices.Clone(t.Queue), func(q status.Queued) bool { return q.Later(now) })
	if len(due) == 0 {
		return
	}
	out.WriteString("\nNEXT\n")
	grid := console.Grid{Width: width, Shrink: []int{0, 2}}
	grid.Row("HOST", "ACTION", "CASE", "STORED IN")
	ids := shortIDs(due)
	for i, q := range due[:min(rowsMax, len(due))] {
		grid.Row(console.Host(q.Action), ids[i], caseOf(q.Record), eta(q, now))
	}
	write(out, &grid)
	more(out, len(due)-rowsMax, "the last in "+eta(due[len(due)-1], now))
}

// postponed lists the packages that are due later, and why.
func postponed(out *strings.Builder, t status.Tenant, now time.Time, width int) {
	later := slices.DeleteFunc(slices.Clone(t.Queue), func(q status.Queued) bool { return !q.Later(now) })
	if len(later) == 0 {
		return
	}
	out.WriteString("\nPOSTPONED\n")
	grid := console.Grid{Width: width, Shrink: []int{0, 5}}
	grid.Row("HOST", "ACTION", "DUE IN", "STORED IN", "CAUSE", "WHY")
	ids := shortIDs(later)
	for i, q := range later[:min(rowsMax, len(later))] {
		cause := console.Clean(string(q.Cause))
		if cause == "" {
			cause = "–"
		}
		grid.Row(console.Host(q.Action), ids[i], in(q.DueAt, now), eta(q, now), cause,
			console.CleanLine(q.Message))
	}
	write(out, &grid)
	more(out, len(later)-rowsMax, "")
}

func eta(q status.Queued, now time.Time) string {
	if q.StoredAt.IsZero() {
		return "–"
	}
	return in(q.StoredAt, now)
}

// more says how many rows are left out.
func more(out *strings.Builder, n int, what string) {
	if n <= 0 {
		return
	}
	fmt.Fprintf(out, "… and %d more", n)
	if what != "" {
		out.WriteString(", " + what)
	}
	out.WriteString("\n")
}

// write writes a grid, which cannot fail.
func write(out *strings.Builder, grid *console.Grid) { _, _ = grid.WriteTo(out) }
