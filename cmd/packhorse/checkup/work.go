package checkup

import (
	"context"
	"slices"
	"time"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/tenant"
)

const (
	// complainAfter is how long a ready package may fail before a person should know, queueAfter how long it may
	// wait for its turn: 120 an hour.
	complainAfter = time.Hour
	queueAfter    = 6 * time.Hour
)

func (m *Machine) health(tenantID string) doctor.Look[tenant.Health] {
	return func(ctx context.Context) (health tenant.Health, err error) {
		err = m.read(ctx, func(ledger *embedded.Ledger) (err error) {
			health, err = ledger.Health(ctx, tenantID)
			return err
		})
		return health, err
	}
}

func (m *Machine) work(tenantID string) doctor.Look[doctor.MachineWork] {
	return func(ctx context.Context) (work doctor.MachineWork, err error) {
		err = m.read(ctx, func(ledger *embedded.Ledger) error {
			work = doctor.MachineWork{}
			counts, err := ledger.Counts(ctx, tenantID, m.Now())
			if ignoreBad(err) != nil {
				return err
			}
			for _, n := range counts.ByState {
				work.Records += n
			}
			open, err := ledger.Open(ctx, tenantID)
			if ignoreBad(err) != nil {
				return err
			}
			newest, err := ledger.Find(ctx, investigation.Filter{TenantID: tenantID, Limit: newestMax})
			for _, rec := range newest {
				work.Strangers = append(work.Strangers, rec.Strangers.List()...)
			}
			work.Stuck = stuck(open, m.Now())
			return ignoreBad(err)
		})
		return work, err
	}
}

// stuck picks the ready packages that do not get on, the oldest first. Those whose link is refused have checks
// of their own.
func stuck(open []investigation.Record, now time.Time) []doctor.StackStuck {
	var all []doctor.StackStuck
	for _, rec := range open {
		if rec.State != investigation.StateReady && rec.State != investigation.StateFetching {
			continue
		}
		if _, isHost := mde.RefusedHost(rec.Message); isHost || rec.Cause == investigation.CauseForbidden {
			continue
		}
		patience, message := complainAfter, rec.Message
		if message == "" {
			patience, message = queueAfter, "it waits for its turn, at 120 links an hour"
		}
		if now.Sub(rec.LastUpdatedAt) > patience {
			all = append(all, doctor.StackStuck{Action: rec.ActionID, Message: message, Since: rec.LastUpdatedAt})
		}
	}
	slices.SortStableFunc(all, func(a, b doctor.StackStuck) int { return a.Since.Compare(b.Since) })
	return all
}

func (m *Machine) disk(tenantID string) doctor.Look[doctor.Disk] {
	return func(ctx context.Context) (doctor.Disk, error) {
		free, err := m.Free(m.Want.Data)
		if err != nil {
			return doctor.Disk{}, err
		}
		disk := doctor.Disk{Free: free, Needed: embedded.Needed(0)}
		if m.Want.Bucket != "" { // only the ledger grows here
			return disk, nil
		}
		var newest []investigation.Record
		err = m.read(ctx, func(ledger *embedded.Ledger) (err error) {
			newest, err = ledger.Find(ctx, investigation.Filter{
				TenantID: tenantID, State: string(investigation.StateArchived), Limit: newestMax,
			})
			return ignoreBad(err)
		})
		if err != nil && ctx.Err() == nil {
			return disk, nil // the ledger's own check says why; the space matters without it
		}
		for _, rec := range newest {
			disk.Largest = max(disk.Largest, rec.Receipt.Size)
		}
		disk.Needed = embedded.Needed(disk.Largest)
		return disk, err
	}
}
