package export

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// Failure is an action whose evidence does not verify.
type Failure struct {
	Record   investigation.Record
	Headline string // may contain anything
}

// RefusedError says that nothing was exported because something does not verify.
type RefusedError struct{ Failures []Failure }

// failuresShown is how many failures an error lists.
const failuresShown = 20

// Error lists the failures, one a line. It is safe for a terminal.
func (e *RefusedError) Error() string {
	text := "nothing was exported, because 1 package does not verify:"
	if n := len(e.Failures); n > 1 {
		text = fmt.Sprintf("nothing was exported, because %d packages do not verify:", n)
	}
	for i, f := range e.Failures {
		if i == failuresShown {
			return text + fmt.Sprintf("\n  and %d more", len(e.Failures)-i)
		}
		text += fmt.Sprintf("\n  %s  %s: %s", f.Record.ActionID, console.Host(f.Record.Action), console.CleanLine(f.Headline))
	}
	return text
}

// Advice says how to go on.
func (e *RefusedError) Advice() string {
	return "packhorse verify ID shows every finding; --include-failed exports these too, in a folder of their own"
}

// TenantCount is a tenant, and how many of the selected packages are its.
type TenantCount struct {
	ID       string
	Name     string // empty if it is not registered
	Packages int
}

// TenantsError says that the selected packages belong to several tenants that were not all named.
type TenantsError struct {
	Tenants []TenantCount // in order of the ids
}

// Error lists the tenants, one a line. It is safe for a terminal.
func (e *TenantsError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "these packages belong to %d tenants; nothing was exported:\n", len(e.Tenants))
	var g console.Grid
	for _, t := range e.Tenants {
		packages := "packages"
		if t.Packages == 1 {
			packages = "package"
		}
		g.Row("  "+console.Clean(t.ID), fmt.Sprintf("%d %s", t.Packages, packages), console.CleanLine(t.Name))
	}
	_, _ = g.WriteTo(&text) // a strings.Builder does not fail
	return strings.TrimSuffix(text.String(), "\n")
}

// Advice shows how to name the tenants.
func (e *TenantsError) Advice() string {
	var flags []string
	for _, t := range e.Tenants {
		flags = append(flags, "--tenant "+console.ShellQuote(console.CleanLine(cmp.Or(t.Name, t.ID))))
	}
	return "name the tenant to export, or all of them if they may see each other's evidence: " + strings.Join(flags, " ")
}

// CheckTenants returns a [*TenantsError] if the records belong to several tenants, unless each is named. One
// export goes to one recipient, who must not get the evidence of somebody else by mistake. Names are what tenants are
// called, by id.
func CheckTenants(records []investigation.Record, named []string, names map[string]string) error {
	packages := map[string]int{}
	missing := false
	for _, rec := range records {
		packages[rec.TenantID]++
		missing = missing || !slices.Contains(named, rec.TenantID)
	}
	if !missing || len(packages) == 1 && len(named) == 0 {
		return nil
	}
	e := &TenantsError{}
	for _, id := range slices.Sorted(maps.Keys(packages)) {
		e.Tenants = append(e.Tenants, TenantCount{id, names[id], packages[id]})
	}
	return e
}
