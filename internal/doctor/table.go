package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Table returns the Markdown table of all checks, for docs/operations.md.
func Table() string {
	tenant := Tenant(TenantPorts{})
	machine := slices.Concat(tenant, Machine(MachinePorts{Want: MachineWanted{Bucket: "BUCKET"}}))
	stack := slices.Concat(Stack(StackPorts{}), tenant)
	var text strings.Builder
	text.WriteString("| check | looks at | where |\n|---|---|---|\n")
	for _, list := range []struct {
		checks, others []Check
		where          string
	}{{machine, stack, "machine"}, {stack, machine, "stack"}} {
		for _, c := range list.checks {
			where := list.where
			if isIn(list.others, c) {
				if where == "stack" { // it has a row
					continue
				}
				where = "both"
			}
			fmt.Fprintf(&text, "| `%s` | %s | %s |\n", c.Name, strings.ReplaceAll(c.Looks, "|", `\|`), where)
		}
	}
	return text.String()
}

// isIn reports whether a list has a check that looks at the same thing under the same name.
func isIn(checks []Check, c Check) bool {
	return slices.ContainsFunc(checks, func(other Check) bool { return other.Name == c.Name && other.Looks == c.Looks })
}
