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

// Table writes the status for people: one tenant in detail, several with a line each and what a person must mend.
// Rows are at most width columns wide, unless that is 0.
func Table(out io.Writer, tenants []status.Tenant, now time.Time, width int) error {
	var text strings.Builder
	switch len(tenants) {
	case 0:
		text.WriteString("nothing yet: no tenant was swept, and no action is known\n")
	case 1:
		one(&text, tenants[0], now, width)
	default:
		many(&text, tenants, now, width)
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
	facts.Row("Tenant", console.Clean(t.TenantID))
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

// many writes a line for each tenant. ARCHIVED counts what was stored in the last 24 hours.
func many(out *strings.Builder, tenants []status.Tenant, now time.Time, width int) {
	need := 0
	for _, t := range tenants {
		if len(t.Problems) > 0 {
			need++
		}
	}
	needs := "need"
	if need == 1 {
		needs = "needs"
	}
	fmt.Fprintf(out, "%d tenants, of which %d %s a person.\n\n", len(tenants), need, needs)
	grid := console.Grid{Width: width, Shrink: []int{0}}
	grid.Row("TENANT", "MEND", "LAST SWEEP", "QUEUED", "LAST IN", "WAITING", "ARCHIVED")
	for _, t := range tenants {
		swept, problems, lastIn := "never", "–", "–"
		if !t.Health.SweptAt.IsZero() {
			swept = ago(t.Health.SweptAt, now)
		}
		if len(t.Problems) > 0 {
			problems = fmt.Sprint(len(t.Problems))
		}
		if last, ok := t.LastDue(now); ok {
			lastIn = eta(last, now)
		}
		grid.Row(console.Clean(t.TenantID), problems, swept, fmt.Sprint(t.Due(now)), lastIn,
			fmt.Sprint(len(t.Young)+len(t.Offline)), fmt.Sprint(t.Counts.Archived))
	}
	write(out, &grid)
	mend(out, tenants, width)
}

// mend lists what a person must mend, and how.
func mend(out *strings.Builder, tenants []status.Tenant, width int) {
	if width == 0 || width > console.LineMax {
		width = console.LineMax
	}
	left := 0
	shown := 0
	for _, t := range tenants {
		for _, p := range t.Problems {
			if shown == rowsMax {
				left++
				continue
			}
			if shown == 0 {
				out.WriteString("\nTO MEND\n")
			}
			shown++
			where := ""
			if len(tenants) > 1 {
				where = console.Clean(t.TenantID) + ": "
			}
			text := console.CleanLine(strings.ReplaceAll(p.What, "\n", "; "))
			out.WriteString(console.FillTo(width, where+text, "* ", "  ") + "\n")
			out.WriteString(console.FillTo(width, p.Advice, "  → ", "    ") + "\n")
		}
	}
	more(out, left, "")
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
