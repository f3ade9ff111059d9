package doctor_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/doctor"
)

var update = flag.Bool("update", false, "write the table of checks into docs/operations.md")

// TestTableInTheDocs: docs/operations.md has the table of the checks in the code. After a change of the checks:
// go test ./internal/doctor -run TestTableInTheDocs -update
func TestTableInTheDocs(t *testing.T) {
	const path, begin, end = "../../docs/operations.md", "<!-- doctor:begin -->\n", "<!-- doctor:end -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, began := strings.Cut(string(text), begin)
	table, after, ended := strings.Cut(rest, end)
	if !began || !ended {
		t.Fatalf("%s lacks the marks", path)
	}
	if want := doctor.Table(); table != want {
		if !*update {
			t.Fatalf("the table differs from the checks; run with -update, want:\n%s", want)
		}
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// lists are the checks that run together.
func lists() map[string][]doctor.Check {
	tenant := doctor.Tenant(doctor.TenantPorts{})
	return map[string][]doctor.Check{
		"machine": slices.Concat(tenant, doctor.Machine(doctor.MachinePorts{})),
		"bucket":  slices.Concat(tenant, doctor.Machine(doctor.MachinePorts{Want: doctor.MachineWanted{Bucket: "b"}})),
		"stack":   slices.Concat(doctor.Stack(doctor.StackPorts{}), tenant),
	}
}

// TestLists: names are unique, every check says what it looks at, and those that it comes after exist and do not, in
// turn, wait for it.
func TestLists(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, checks := range lists() {
		for _, c := range checks {
			all[c.Name] = true
		}
	}
	for where, checks := range lists() {
		names := map[string]int{}
		for i, c := range checks {
			if _, twice := names[c.Name]; twice || c.Looks == "" || c.Area == "" || c.Run == nil {
				t.Errorf("%s: %s is incomplete or there twice", where, c.Name)
			}
			names[c.Name] = i
		}
		if waits := circle(checks, names); waits != "" {
			t.Errorf("%s: %s waits for itself", where, waits)
		}
		for _, c := range checks {
			for _, name := range c.After {
				if !all[name] {
					t.Errorf("%s: %s comes after %s, which does not exist", where, c.Name, name)
				}
			}
		}
	}
}

// circle returns a check that, however far, comes after itself.
func circle(checks []doctor.Check, names map[string]int) string {
	const fresh, open, done = 0, 1, 2
	state := make([]int, len(checks))
	var visit func(i int) bool
	visit = func(i int) bool {
		if state[i] != fresh {
			return state[i] == open
		}
		state[i] = open
		for _, name := range checks[i].After {
			if j, here := names[name]; here && visit(j) {
				return true
			}
		}
		state[i] = done
		return false
	}
	for i := range checks {
		if visit(i) {
			return checks[i].Name
		}
	}
	return ""
}
