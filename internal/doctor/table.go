package doctor

import (
	"fmt"
	"slices"
	"strings"

	"packhorse/internal/tenant"
)

// Table returns the Markdown table of all checks, for docs/operations.md.
func Table() string {
	both := append(Registry(nil), Tenant(TenantPorts{})...)
	machine := slices.Concat(both, Machine(MachinePorts{Want: MachineWanted{Bucket: "BUCKET"}}))
	stack := slices.Concat(stackOfAnyKind(), tenantBucket(StackPorts{}), both)
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

// stackOfAnyKind returns the checks of stacks with each kind of credential.
func stackOfAnyKind() []Check {
	var all []Check
	for _, want := range []StackWanted{
		{Kind: tenant.ClientSecret}, {Kind: tenant.Certificate, OwnCertificateKey: true}, {Kind: tenant.Federated},
	} {
		for _, c := range Stack(StackPorts{Want: want}) {
			if !isIn(all, c) {
				all = append(all, c)
			}
		}
	}
	return all
}

// isIn reports whether a list has a check that looks at the same thing under the same name.
func isIn(checks []Check, c Check) bool {
	return slices.ContainsFunc(checks, func(other Check) bool { return other.Name == c.Name && other.Looks == c.Looks })
}
