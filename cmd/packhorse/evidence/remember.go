package evidence

import (
	"context"
	"errors"
	"sync"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Remember makes verifications of one key ask the ledger once about each tenant, and look at the record of their
// action only: otherwise, exporting thousands of packages would go through all records for each. Call it before
// verifying packages that are done; what changes in the meantime is not noticed.
func (e *Evidence) Remember() {
	if e.ledger != nil && e.asked == nil {
		e.asked = &remembered{ledger: e.ledger, answers: map[string]*answer{}}
	}
}

// ledgerFor returns the ledger to verify a scope against, or nil.
func (e *Evidence) ledgerFor(scope verify.Scope) verify.Ledger {
	if e.ledger == nil {
		return nil
	}
	parts, ok := investigation.ParseKey(scope.Key)
	if e.asked == nil || !ok {
		return e.ledger
	}
	return narrowed{e.asked, parts.ActionID}
}

// remembered is a ledger that keeps its answers. Errors are not kept.
type remembered struct {
	ledger verify.Ledger

	mu      sync.Mutex // guards answers, and is held while the ledger answers
	answers map[string]*answer
}

// answer is what the ledger said about a tenant. Bad records are a fact that is kept too.
type answer struct {
	head       investigation.Head
	headBad    error
	records    map[string]investigation.Record // by action
	recordsBad error
}

func (r *remembered) of(ctx context.Context, tenantID string) (*answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.answers[tenantID]; ok {
		return a, nil
	}
	a := &answer{}
	a.head, a.headBad = r.ledger.Head(ctx, tenantID)
	if a.headBad != nil && !errors.Is(a.headBad, investigation.ErrBadRecord) {
		return nil, a.headBad
	}
	records, bad := r.ledger.Records(ctx, tenantID)
	a.recordsBad, a.records = bad, make(map[string]investigation.Record, len(records))
	for _, rec := range records {
		a.records[rec.ActionID] = rec
	}
	if a.recordsBad != nil && !errors.Is(a.recordsBad, investigation.ErrBadRecord) {
		return nil, a.recordsBad
	}
	r.answers[tenantID] = a
	return a, nil
}

// narrowed is a remembered ledger of one action. An invalid record anywhere is still reported.
type narrowed struct {
	all      *remembered
	actionID string
}

// Head implements verify.Ledger.
func (n narrowed) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	a, err := n.all.of(ctx, tenantID)
	if err != nil {
		return investigation.Head{}, err
	}
	return a.head, a.headBad
}

// Records implements verify.Ledger.
func (n narrowed) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	a, err := n.all.of(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	rec, ok := a.records[n.actionID]
	if !ok {
		return nil, a.recordsBad
	}
	return []investigation.Record{rec}, a.recordsBad
}
