package console

import (
	"fmt"
	"io"

	"packhorse/internal/doctor"
)

// alike is how many tenants may have the same finding with a line each; of more, there is one line for all.
const alike = 3

// tenants is what the checks of several tenants found.
type tenants struct {
	failures  []doctor.Result // failures and warnings, the failures first
	others    []int           // for each of those, how many more tenants have the same
	well      int             // tenants without any
	skipped   int             // checks of those that were skipped
	unasked   int             // tenants without any, whose Defender was not asked
	suspended int             // tenants that were not looked at
}

// split tells what is shared from what is of several tenants. The results of one tenant count as shared.
func (c Checkup) split() (shared, ofTenants []doctor.Result) {
	several := false
	first := ""
	for _, r := range c.Results {
		if r.Tenant != "" {
			several = several || first != "" && first != r.Tenant
			first = r.Tenant
		}
	}
	if !several {
		return c.Results, nil
	}
	for _, r := range c.Results {
		if r.Tenant == "" {
			shared = append(shared, r)
		} else {
			ofTenants = append(ofTenants, r)
		}
	}
	return shared, ofTenants
}

func tenantsOf(results []doctor.Result) tenants {
	var t tenants
	type key struct {
		state        doctor.State
		name, advice string
	}
	same := map[key]int{}
	bad := map[string]bool{}
	counted := map[string]int{} // skipped checks
	unasked := map[string]bool{}
	ids := []string{}
	for _, r := range results {
		if len(ids) == 0 || ids[len(ids)-1] != r.Tenant {
			ids = append(ids, r.Tenant)
		}
		switch r.State {
		case doctor.Failed, doctor.Warning:
			bad[r.Tenant] = true
			same[key{r.State, r.Name, r.Advice}]++
		case doctor.Skipped:
			counted[r.Tenant]++
			unasked[r.Tenant] = unasked[r.Tenant] || r.Name == doctor.NameList
		}
	}
	told := map[key]bool{}
	for _, state := range []doctor.State{doctor.Failed, doctor.Warning} {
		for _, r := range results {
			k := key{r.State, r.Name, r.Advice}
			if r.State != state || told[k] {
				continue
			}
			others := 0
			if same[k] > alike {
				told[k], others = true, same[k]-1
			}
			t.failures, t.others = append(t.failures, r), append(t.others, others)
		}
	}
	checks := map[string]int{}
	for _, r := range results {
		checks[r.Tenant]++
	}
	for _, id := range ids {
		switch {
		case bad[id]:
		case checks[id] == 1 && counted[id] == 1: // nothing of it was looked at
			t.suspended++
		case unasked[id]:
			t.unasked++
		default:
			t.well++
			t.skipped += counted[id]
		}
	}
	return t
}

// tenants writes what the checks of several tenants found: failures and warnings, and in one line how many tenants are
// well.
func (s Style) tenants(out io.Writer, results []doctor.Result) {
	t := tenantsOf(results)
	fmt.Fprintln(out, "\nTenants")
	names := 0
	for _, r := range t.failures {
		names = max(names, len(r.Name))
	}
	for i, r := range t.failures {
		title := TenantTitle(r)
		if t.others[i] > 0 {
			title += fmt.Sprintf(" and %s more tenants", Count(t.others[i]))
		}
		r.Text = title + ": " + r.Text
		s.result(out, r, names)
	}
	say := func(n int, one, many, text string) {
		if n == 1 {
			many = one
		}
		if n > 0 {
			fmt.Fprintln(out, FillTo(s.Width, Count(n)+" "+many+text, "  ", "    "))
		}
	}
	text := ": all checks ok"
	if t.skipped > 0 {
		text += fmt.Sprintf(", but for %s that could not be made", Count(t.skipped))
	}
	say(t.well, "tenant", "tenants", text)
	say(t.unasked, "tenant", "tenants", ": nothing wrong was found, but Defender could not be asked; --tenant NAME shows why")
	say(t.suspended, "tenant is suspended, and was", "tenants are suspended, and were", " not checked")
}

// TenantTitle is what the tenant of a result is called.
func TenantTitle(r doctor.Result) string {
	if r.TenantName == "" {
		return r.Tenant
	}
	return r.TenantName
}
