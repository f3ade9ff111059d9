package simulation

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"packhorse/internal/investigation"
)

// PlanFile is the name of the plan in a data folder. It lets an interrupted run continue with the same tenant.
const PlanFile = "simulation.json"

// Plan determines all actions of the simulated tenants.
type Plan struct {
	Seed      uint64    `json:"seed"`
	StartedAt time.Time `json:"startedAt"`
	Actions   int       `json:"actions"`           // of all tenants together
	Tenants   int       `json:"tenants,omitempty"` // 0 means one
	Sizes     []int64   `json:"sizes,omitempty"`   // in bytes, used in turn; empty means mixed
}

// Ledger loads the records of actions.
type Ledger interface {
	Load(ctx context.Context, ids []investigation.ID) ([]investigation.Record, error)
}

// resume returns the plan in the file while some of its actions are not done. Otherwise it writes the plan
// next, which starts now. If its seed is 0, it gets a random one.
func resume(ctx context.Context, path string, next Plan, ledger Ledger) (Plan, error) {
	plan, err := loadPlan(path)
	if err != nil {
		return Plan{}, err
	}
	over, err := plan.over(ctx, ledger)
	if err != nil || !over {
		return plan, err
	}
	next.StartedAt = time.Now().UTC()
	if next.Seed == 0 {
		next.Seed = randomSeed()
	}
	return next, next.save(path)
}

// over reports whether every action of the plan is done. The zero plan is over. An action with a malformed
// record is not done.
func (p Plan) over(ctx context.Context, ledger Ledger) (bool, error) {
	var ids []investigation.ID
	for _, tenant := range p.tenants() {
		for _, a := range tenant.actions {
			ids = append(ids, investigation.ID{TenantID: tenant.id, ActionID: a.ID})
		}
	}
	records, err := ledger.Load(ctx, ids)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return false, err
	}
	open := func(r investigation.Record) bool { return r.State != investigation.StateDone }
	return len(records) == len(ids) && !slices.ContainsFunc(records, open), nil
}

func loadPlan(path string) (Plan, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the data folder is the user's choice
	if errors.Is(err, fs.ErrNotExist) {
		return Plan{}, nil
	}
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	err = json.Unmarshal(text, &plan)
	if err != nil {
		return Plan{}, fmt.Errorf("parse %s (delete it to start a new simulation): %w", path, err)
	}
	return plan, nil
}

func (p Plan) save(path string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return binary.LittleEndian.Uint64(b[:])
}
