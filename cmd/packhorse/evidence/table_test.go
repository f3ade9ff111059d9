package evidence

import (
	"crypto/rand"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/registry"
	"packhorse/internal/tenant"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// tenantOf returns the id of the nth tenant.
func tenantOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// actionOf returns the id of an action, which several tenants may have.
func actionOf(n int) string { return fmt.Sprintf("%040x", n*0x1357924680) }

// stackWith makes the tables of a stack with these many registered tenants, and these many actions of each. The stack's
// own tenant, which has the number 0, has as many.
func stackWith(t *testing.T, registered, actions int) *stack.Stack {
	t.Helper()
	client := dynamotest.Client(dynamotest.Direct)
	s := &stack.Stack{
		Name: "packhorse", Parameters: map[string]string{"DefenderTenantId": tenantOf(0)},
		Outputs: map[string]string{
			stack.OutputBucket: "evidence", stack.OutputLedger: dynamotest.Table(t, ledgertables.Ledger("ledger-"+rand.Text())),
			stack.OutputTenants: dynamotest.Table(t, ledgertables.Budget("tenants-"+rand.Text())),
		},
	}
	records, tenants := ledger.New(client, s.Outputs[stack.OutputLedger]), registry.New(client, s.Outputs[stack.OutputTenants])
	now := time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)
	for n := range registered + 1 {
		if n > 0 {
			entry := tenant.New(tenant.Tenant{ID: tenantOf(n), Name: fmt.Sprintf("Customer %d", n)}, now)
			if _, err := tenants.Put(t.Context(), entry); err != nil {
				t.Fatal(err)
			}
		}
		for i := range actions {
			a := investigation.Action{
				ID: investigation.ID{TenantID: tenantOf(n), ActionID: actionOf(i)}, MachineID: strings.Repeat("c", 40),
				CaseID: "INC-4711", Status: "Pending", CreatedAt: now.Add(time.Duration(i) * time.Minute), LastUpdatedAt: now,
			}
			if _, err := records.Change(t.Context(), a.ID, investigation.Observe(a, now)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// counted returns the options for a stack and its ledger, whose requests are counted.
func counted(s *stack.Stack, tenantID string) (Options, *Ledger, *dynamotest.Wire) {
	o := Options{Stack: s.Name, TenantID: tenantID}
	o.take(s)
	wire := &dynamotest.Wire{}
	return o, o.ofTable(dynamotest.Client(wire)), wire
}

// TestRequests: a question about one tenant reads only the tenant's records, by one query and a batch for each hundred;
// one about all tenants reads the registry, and never the whole table.
func TestRequests(t *testing.T) {
	t.Parallel()
	s := stackWith(t, 2, 3)
	for name, c := range map[string]struct {
		tenantID string
		filter   investigation.Filter
		found    int
		calls    map[string]int
	}{
		"one tenant":      {tenantOf(1), investigation.Filter{}, 3, map[string]int{"Query": 1, "BatchGetItem": 1}},
		"one by time":     {tenantOf(1), investigation.Filter{Limit: 1}, 1, map[string]int{"Query": 1, "BatchGetItem": 1}},
		"nobody":          {tenantOf(9), investigation.Filter{}, 0, map[string]int{"Query": 1}},
		"all":             {"", investigation.Filter{Case: "inc-4711"}, 9, map[string]int{"Scan": 1, "Query": 3, "BatchGetItem": 3}},
		"all by whole id": {"", investigation.Filter{ActionID: actionOf(2)}, 3, map[string]int{"Scan": 1, "BatchGetItem": 1}},
	} {
		o, l, wire := counted(s, c.tenantID)
		c.filter.TenantID = o.TenantID
		got, err := l.Find(t.Context(), c.filter)
		if err != nil || len(got) != c.found {
			t.Errorf("%s: %d records, %v", name, len(got), err)
		}
		if calls := wire.Calls(); fmt.Sprint(calls) != fmt.Sprint(c.calls) {
			t.Errorf("%s: %v, want %v", name, calls, c.calls)
		}
	}
}

// TestDefaultTenant: with a registry, a stack means all of its tenants; without one, its own. What a person names
// counts in either case.
func TestDefaultTenant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ registry, given, want string }{
		{"", "", tenantOf(0)}, {"", tenantOf(5), tenantOf(5)}, {"tenants", "", ""}, {"tenants", tenantOf(5), tenantOf(5)},
	} {
		s := &stack.Stack{
			Parameters: map[string]string{"DefenderTenantId": tenantOf(0)},
			Outputs:    map[string]string{stack.OutputTenants: c.registry, stack.OutputBucket: "b", stack.OutputLedger: "l"},
		}
		o := Options{TenantID: c.given}
		o.take(s)
		if o.TenantID != c.want {
			t.Errorf("%+v: got %q", c, o.TenantID)
		}
	}
}

// TestNames: what tenants are called, and that verification still finds the tenants that nobody serves any more.
func TestNames(t *testing.T) {
	t.Parallel()
	s := stackWith(t, 2, 0)
	_, l, wire := counted(s, "")
	if got := l.Names(t.Context()); len(got) != 2 || got[tenantOf(2)] != "Customer 2" {
		t.Errorf("got %v", got)
	}
	for text, want := range map[string]string{
		"customer 1": tenantOf(1), "nobody": "nobody", "": "", strings.ToUpper(tenantOf(7)): tenantOf(7),
	} {
		if got := l.TenantID(t.Context(), text); got != want {
			t.Errorf("%q is %q", text, got)
		}
	}
	ids, err := l.TenantIDs(t.Context())
	if err != nil || !slices.Equal(ids, []string{tenantOf(0), tenantOf(1), tenantOf(2)}) {
		t.Errorf("got %v, %v", ids, err)
	}
	wire.Reset()
	if ids, err := l.Tenants(t.Context()); err != nil || len(ids) != 0 || wire.Count("Scan") != 1 {
		t.Errorf("the ledger has %v, %v", ids, err) // nobody has a chain yet
	}
}

// TestBucketOfTenant: the packages of a tenant with a bucket of its own are looked for there.
func TestBucketOfTenant(t *testing.T) {
	t.Parallel()
	s := stackWith(t, 1, 0)
	db := dynamotest.Client(dynamotest.Direct)
	tenants := registry.New(db, s.Outputs[stack.OutputTenants])
	entry := tenant.New(tenant.Tenant{ID: tenantOf(2), Name: "Customer 2", Bucket: "evidence-of-2"}, time.Now())
	if _, err := tenants.Put(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"": "s3://evidence", tenantOf(0): "s3://evidence", tenantOf(1): "s3://evidence", tenantOf(2): "s3://evidence-of-2", tenantOf(9): "s3://evidence",
	} {
		o, _, _ := counted(s, id)
		if err := o.ofTenant(t.Context(), db); err != nil || o.From != want {
			t.Errorf("%q: got %q, %v", id, o.From, err)
		}
	}
}
