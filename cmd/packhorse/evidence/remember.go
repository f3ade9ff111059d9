package evidence

import (
	"context"
	"errors"
	"sync"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// Remember makes verifications ask the ledger once about each tenant. Call it before verifying many packages
// one by one, if all of them are done: what changes in the meantime is not noticed.
func (e *Evidence) Remember() {
	if e.ledger != nil && e.asked == nil {
		e.asked = &remembered{ledger: e.ledger, answers: map[string]*answer{}}
	}
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
	records    []investigation.Record
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
	a.records, a.recordsBad = r.ledger.Records(ctx, tenantID)
	if a.recordsBad != nil && !errors.Is(a.recordsBad, investigation.ErrBadRecord) {
		return nil, a.recordsBad
	}
	r.answers[tenantID] = a
	return a, nil
}

// Head implements verify.Ledger.
func (r *remembered) Head(ctx context.Context, tenantID string) (investigation.Head, error) {
	a, err := r.of(ctx, tenantID)
	if err != nil {
		return investigation.Head{}, err
	}
	return a.head, a.headBad
}

// Records implements verify.Ledger.
func (r *remembered) Records(ctx context.Context, tenantID string) ([]investigation.Record, error) {
	a, err := r.of(ctx, tenantID)
	if err != nil {
		return nil, err
	}
	return a.records, a.recordsBad
}
