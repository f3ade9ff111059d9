package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/source"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/defender"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/registry"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// openStack reads what a deployed stack's tables are called.
func openStack(ctx context.Context, o Options) (*Desk, error) {
	s, err := stack.Open(ctx, o.Stack)
	if err != nil {
		return nil, err
	}
	return ofStack(dynamodb.NewFromConfig(s.AWS), s, o)
}

func ofStack(db *dynamodb.Client, s *stack.Stack, o Options) (*Desk, error) {
	records := &known{Ledger: ledger.New(db, s.Outputs[stack.OutputLedger])}
	deployed := s.TenantID()
	b := &book{shared: ofParameters(deployed, s.Parameters)}
	others := func(ctx context.Context) ([]string, error) {
		ids, err := records.Tenants(ctx)
		return ids, source.Explain(err)
	}
	if table := s.Outputs[stack.OutputTenants]; table != "" || deployed != "" { // spare the scan that looks for others
		others = func(context.Context) ([]string, error) { return only(deployed), nil }
		if table != "" {
			b.registry = registry.New(db, table)
		}
	}
	limits, err := limitsOf(s.Parameters)
	if err != nil {
		return nil, fmt.Errorf("stack %q: %w", o.Stack, err)
	}
	return &Desk{
		Name: "stack " + s.Name, Costly: true, tenants: b.only(o.TenantID, others), ledger: records, fresh: records.forget,
		book: b,
		budgets: &stackBudgets{
			counter:  dynamocounter.New(db, s.Outputs[stack.OutputBudget], time.Now),
			tenantID: deployed, clientID: s.Parameters["DefenderClientId"], limits: limits, book: b,
		},
	}, nil
}

// only returns a list of one id, or an empty one.
func only(id string) []string {
	if id == "" {
		return nil
	}
	return []string{id}
}

// limitsOf reads the limits that a stack was deployed with.
func limitsOf(parameters map[string]string) (defender.Limits, error) {
	var limits defender.Limits
	for name, to := range map[string]*int{
		"PackageUriPerMinute": &limits.PerMinute, "PackageUriPerHour": &limits.PerHour,
	} {
		n, err := strconv.Atoi(parameters[name])
		if err != nil || n < 1 {
			return defender.Limits{}, fmt.Errorf("parameter %s is %q, not a number of calls", name, parameters[name])
		}
		*to = n
	}
	return limits, nil
}

// known is a ledger in DynamoDB. It answers both questions about the records of a tenant from one reading of them: first
// Open, then Counts.
type known struct {
	*ledger.Ledger

	mu      sync.Mutex // guards records
	records map[string]answer
}

// answer is what the ledger has of a tenant.
type answer struct {
	records []investigation.Record
	err     error
}

func (l *known) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = map[string]answer{}
}

// read reads the records of a tenant. They are kept until they are asked for again.
func (l *known) read(ctx context.Context, tenantID string) answer {
	l.mu.Lock()
	a, ok := l.records[tenantID]
	delete(l.records, tenantID)
	l.mu.Unlock()
	if ok {
		return a
	}
	records, err := l.Records(ctx, tenantID)
	a = answer{records, source.Explain(err)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records[tenantID] = a
	return a
}

// Open implements status.Ledger.
func (l *known) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	a := l.read(ctx, tenantID)
	return slices.DeleteFunc(slices.Clone(a.records), func(rec investigation.Record) bool {
		return rec.State == investigation.StateDone
	}), a.err
}

// Counts implements status.Ledger.
func (l *known) Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error) {
	a := l.read(ctx, tenantID)
	return investigation.Count(a.records, since), a.err
}

// Health implements status.Ledger.
func (l *known) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	h, err := l.Ledger.Health(ctx, tenantID)
	return h, source.Explain(err)
}

// Healths implements status.Fleet.
func (l *known) Healths(ctx context.Context, ids []string) (map[string]tenant.Health, error) {
	all, err := l.Ledger.Healths(ctx, ids)
	return all, source.Explain(err)
}

// Busy implements status.Fleet.
func (l *known) Busy(ctx context.Context) (map[string]bool, error) {
	busy, err := l.Ledger.Busy(ctx)
	return busy, source.Explain(err)
}

// stackBudgets knows the budgets of the tenant that the stack was deployed for, and of the registered ones.
type stackBudgets struct {
	counter            *dynamocounter.Counter
	tenantID, clientID string
	limits             defender.Limits
	book               *book
}

// Budget implements status.Budgets. It does not know the apps of other tenants.
func (b *stackBudgets) Budget(ctx context.Context, tenantID string) (status.Budget, error) {
	client, limits := b.clientID, b.limits
	if entry := b.book.entry(tenantID); tenantID != b.tenantID {
		client, limits = cmp.Or(entry.ClientID, client), b.book.limits(tenantID, limits)
		if entry.ID == "" {
			return status.Budget{}, nil
		}
	}
	if client == "" {
		return status.Budget{}, nil
	}
	budget := defender.LinkBudget(tenantID, client, limits)
	state, err := b.counter.Peek(ctx, budget)
	if err != nil {
		return status.Budget{}, source.Explain(err)
	}
	return budgetOf(state, budget), nil
}
