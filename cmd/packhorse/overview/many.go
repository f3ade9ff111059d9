package overview

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/status"
)

// tenantsMax is how many tenants have a line.
const tenantsMax = 30

// many writes a line for each tenant that needs a person or has work, and one for all others together. ARCHIVED counts
// what was stored in the last 24 hours.
func many(out *strings.Builder, o status.Overview, now time.Time, width int) {
	need := 0
	for _, t := range o.Tenants {
		if len(t.Problems) > 0 {
			need++
		}
	}
	needs := "need"
	if need == 1 {
		needs = "needs"
	}
	fmt.Fprintf(out, "%s tenants, of which %s %s a person.\n", console.Count(o.All()), console.Count(need), needs)
	if len(o.Tenants) > 0 {
		out.WriteString("\n")
		grid := console.Grid{Width: width, Shrink: []int{0}}
		grid.Row("TENANT", "MEND", "LAST SWEEP", "QUEUED", "LAST IN", "WAITING", "ARCHIVED")
		for _, t := range o.Tenants[:min(tenantsMax, len(o.Tenants))] {
			grid.Row(row(t, now)...)
		}
		write(out, &grid)
		more(out, len(o.Tenants)-tenantsMax, "")
	}
	rest(out, o, now, width)
	mend(out, o.Tenants, width)
}

// row returns the cells of a tenant.
func row(t status.Tenant, now time.Time) []string {
	swept, problems, lastIn := "never", "–", "–"
	switch {
	case t.Suspended:
		swept = "suspended"
	case !t.Health.SweptAt.IsZero():
		swept = ago(t.Health.SweptAt, now)
	}
	if len(t.Problems) > 0 {
		problems = fmt.Sprint(len(t.Problems))
	}
	if last, ok := t.LastDue(now); ok {
		lastIn = eta(last, now)
	}
	cells := []string{title(t), problems, swept, fmt.Sprint(t.Due(now)), lastIn,
		fmt.Sprint(len(t.Young) + len(t.Offline)), fmt.Sprint(t.Counts.Archived)}
	if t.Brief { // its records were not read
		cells[5], cells[6] = "–", "–"
	}
	return cells
}

// rest says how many tenants have no line, because nothing is to be said of them.
func rest(out *strings.Builder, o status.Overview, now time.Time, width int) {
	var parts []string
	switch {
	case o.Idle == 1:
		parts = append(parts, "1 tenant is idle and was swept "+ago(o.Stalest, now))
	case o.Idle > 1:
		parts = append(parts, fmt.Sprintf("%s tenants are idle, the stalest was swept %s", console.Count(o.Idle), ago(o.Stalest, now)))
	}
	switch {
	case o.Suspended == 1:
		parts = append(parts, "1 tenant is suspended")
	case o.Suspended > 1:
		parts = append(parts, console.Count(o.Suspended)+" tenants are suspended")
	}
	if len(parts) == 0 {
		return
	}
	if width == 0 || width > console.LineMax {
		width = console.LineMax
	}
	out.WriteString("\n" + console.FillTo(width, strings.Join(parts, ". ")+". --tenant shows one in full.", "", "") + "\n")
}

// title is what a tenant is called in a table.
func title(t status.Tenant) string { return console.CleanLine(cmp.Or(t.Name, t.TenantID)) }

// full is a tenant's id, after its name if it has one.
func full(t status.Tenant) string {
	if t.Name == "" {
		return console.Clean(t.TenantID)
	}
	return console.CleanLine(t.Name) + " (" + console.Clean(t.TenantID) + ")"
}

// alike is how many tenants may have the same problem with a line each; of more, there is one line for all.
const alike = 3

// trouble is a problem, and whose it is.
type trouble struct {
	status.Problem

	tenant string // of several with the same advice, the first
	others int    // more tenants with it
}

// troubles returns what a person must mend, with the problems that many tenants share put together.
func troubles(tenants []status.Tenant) []trouble {
	shared := map[string]int{} // tenants, by advice; only problems of the tenants themselves are alike
	for _, t := range tenants {
		seen := map[string]bool{}
		for _, p := range t.Problems {
			if p.Actions == 0 && !seen[p.Advice] {
				seen[p.Advice] = true
				shared[p.Advice]++
			}
		}
	}
	var all []trouble
	told := map[string]bool{}
	for _, t := range tenants {
		for _, p := range t.Problems {
			one := trouble{Problem: p, tenant: title(t)}
			if p.Actions == 0 && shared[p.Advice] > alike {
				if told[p.Advice] {
					continue
				}
				told[p.Advice] = true
				one.others = shared[p.Advice] - 1
			}
			all = append(all, one)
		}
	}
	return all
}

// mend lists what a person must mend, and how.
func mend(out *strings.Builder, tenants []status.Tenant, width int) {
	if width == 0 || width > console.LineMax {
		width = console.LineMax
	}
	all := troubles(tenants)
	for i, p := range all[:min(rowsMax, len(all))] {
		if i == 0 {
			out.WriteString("\nTO MEND\n")
		}
		where := ""
		switch {
		case p.others > 0:
			where = fmt.Sprintf("%s and %s more tenants: ", p.tenant, console.Count(p.others))
		case len(tenants) > 1:
			where = p.tenant + ": "
		}
		text := console.CleanLine(strings.ReplaceAll(p.What, "\n", "; "))
		out.WriteString(console.FillTo(width, where+text, "* ", "  ") + "\n")
		out.WriteString(console.FillTo(width, p.Advice, "  → ", "    ") + "\n")
	}
	more(out, len(all)-rowsMax, "")
}
