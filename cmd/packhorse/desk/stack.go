package desk

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/source"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/defender"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ratelimit/dynamocounter"
	"packhorse/internal/status"
	"packhorse/internal/tenant"
)

// openStack reads what a deployed stack's tables are called. Each reading scans the whole ledger table once.
func openStack(ctx context.Context, o Options) (*Desk, error) {
	s, err := stack.Open(ctx, o.Stack)
	if err != nil {
		return nil, err
	}
	return ofStack(dynamodb.NewFromConfig(s.AWS), s, o)
}

func ofStack(db *dynamodb.Client, s *stack.Stack, o Options) (*Desk, error) {
	records := &scanned{Ledger: ledger.New(db, s.Outputs[stack.OutputLedger])}
	deployed := s.TenantID()
	all := func(ctx context.Context) ([]string, error) {
		known, err := records.Tenants(ctx)
		if deployed != "" {
			known = union(known, []string{deployed})
		}
		return known, source.Explain(err)
	}
	if deployed != "" { // one tenant: spare the scan that looks for others
		all = only(deployed, nil)
	}
	limits, err := limitsOf(s.Parameters)
	if err != nil {
		return nil, fmt.Errorf("stack %q: %w", o.Stack, err)
	}
	return &Desk{
		Name: "stack " + s.Name, Costly: true, tenants: only(o.TenantID, all), ledger: records, fresh: records.forget,
		proof: ofParameters(deployed, s.Parameters),
		budgets: &stackBudgets{
			counter:  dynamocounter.New(db, s.Outputs[stack.OutputBudget], time.Now),
			tenantID: deployed, clientID: s.Parameters["DefenderClientId"], limits: limits,
		},
	}, nil
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

// scanned is a ledger in DynamoDB. It answers both questions about the records of a tenant from one scan of the table.
type scanned struct {
	*ledger.Ledger

	tenantID string
	records  []investigation.Record
	err      error
}

func (l *scanned) forget() { *l = scanned{Ledger: l.Ledger} }

func (l *scanned) scan(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	if l.tenantID != tenantID {
		records, err := l.Records(ctx, tenantID)
		l.tenantID, l.records, l.err = tenantID, records, source.Explain(err)
	}
	return l.records, l.err
}

// Open implements status.Ledger.
func (l *scanned) Open(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	records, err := l.scan(ctx, tenantID)
	return slices.DeleteFunc(slices.Clone(records), func(rec investigation.Record) bool {
		return rec.State == investigation.StateDone
	}), err
}

// Counts implements status.Ledger.
func (l *scanned) Counts(ctx context.Context, tenantID string, since time.Time) (investigation.Counts, error) {
	records, err := l.scan(ctx, tenantID)
	return investigation.Count(records, since), err
}

// Health implements status.Ledger.
func (l *scanned) Health(ctx context.Context, tenantID string) (tenant.Health, error) {
	h, err := l.Ledger.Health(ctx, tenantID)
	return h, source.Explain(err)
}

// stackBudgets knows the budget of the tenant that the stack was deployed for.
type stackBudgets struct {
	counter            *dynamocounter.Counter
	tenantID, clientID string
	limits             defender.Limits
}

// Budget implements status.Budgets. It does not know the apps of other tenants.
func (b *stackBudgets) Budget(ctx context.Context, tenantID string) (status.Budget, error) {
	if tenantID != b.tenantID || b.clientID == "" {
		return status.Budget{}, nil
	}
	budget := defender.LinkBudget(b.tenantID, b.clientID, b.limits)
	state, err := b.counter.Peek(ctx, budget)
	if err != nil {
		return status.Budget{}, source.Explain(err)
	}
	return budgetOf(state, budget), nil
}
