package export

import (
	"fmt"
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

// TenantsError says that the selected packages belong to several tenants that were not all named.
type TenantsError struct {
	Tenants []string
}

func (e *TenantsError) Error() string {
	return fmt.Sprintf("these packages belong to %d tenants; nothing was exported", len(e.Tenants))
}

// Advice shows how to name the tenants.
func (e *TenantsError) Advice() string {
	return "name the tenant to export, or all of them if they may see each other's evidence: --tenant " +
		strings.Join(e.Tenants, " --tenant ")
}

// CheckTenants returns a [*TenantsError] if the records belong to several tenants, unless each is named. One
// export goes to one recipient, who must not get the evidence of somebody else by mistake.
func CheckTenants(records []investigation.Record, named []string) error {
	is, all := map[string]bool{}, []string{}
	for _, rec := range records {
		if !is[rec.TenantID] {
			is[rec.TenantID] = true
			all = append(all, rec.TenantID)
		}
	}
	for _, id := range named {
		delete(is, id)
	}
	if len(all) > 1 && len(is) > 0 || len(named) > 0 && len(is) > 0 {
		return &TenantsError{all}
	}
	return nil
}
