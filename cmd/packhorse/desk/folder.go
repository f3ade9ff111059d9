package desk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/internal/defender"
	"packhorse/internal/ratelimit"
	"packhorse/internal/status"
)

// openFolder opens the database of a data folder.
func openFolder(ctx context.Context, o Options) (*Desk, error) {
	path := filepath.Join(o.Data, datafolder.Database)
	_, err := os.Stat(path)
	if err != nil {
		return nil, &evidence.NoLedgerError{Data: o.Data}
	}
	db, err := embedded.OpenDB(ctx, path)
	if err != nil {
		return nil, err
	}
	ledger := embedded.NewLedger(db)
	all := func(ctx context.Context) ([]string, error) {
		known, err := ledger.Tenants(ctx)
		swept, sweptErr := ledger.Swept(ctx)
		return union(known, swept), wrap("list the tenants", err, sweptErr)
	}
	b := &book{registry: embedded.NewRegistry(db), shared: ofMachine(o.Environ)}
	return &Desk{
		Name: path, tenants: b.only(o.TenantID, all), ledger: ledger,
		budgets: folderBudgets{embedded.NewCounter(db), o.Limits, b}, book: b, close: db.Close,
	}, nil
}

// folderBudgets are the budgets in a database, which keeps what was spent of them but not how large they are.
type folderBudgets struct {
	counter *embedded.Counter
	limits  defender.Limits
	book    *book
}

// Budget implements status.Budgets. If several apps were used for the tenant, it is the budget of the one used last.
func (b folderBudgets) Budget(ctx context.Context, tenantID string) (status.Budget, error) {
	names, err := b.counter.Names(ctx, tenantID)
	if err != nil {
		return status.Budget{}, err
	}
	limits := b.book.limits(tenantID, b.limits)
	latest := budgetOf(ratelimit.State{}, defender.LinkBudget(tenantID, "", limits))
	for _, name := range names {
		if !strings.HasSuffix(name, "#"+defender.LinkAPI) {
			continue
		}
		budget := defender.LinkBudget(tenantID, "", limits)
		budget.Name = name
		state, err := b.counter.Peek(ctx, budget)
		if err != nil {
			return status.Budget{}, err
		}
		if found := budgetOf(state, budget); lastOf(found).After(lastOf(latest)) {
			latest = found
		}
	}
	return latest, nil
}

func lastOf(b status.Budget) time.Time { return b.FreeAt[len(b.FreeAt)-1] }

// budgetOf returns a budget as a status needs it.
func budgetOf(state ratelimit.State, budget ratelimit.Budget) status.Budget {
	return status.Budget{FreeAt: state.FreeAt(budget), Hold: budget.Hold(), CooldownUntil: state.CooldownUntil}
}
