// Package ledgertest makes large ledgers for tests and benchmarks.
package ledgertest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
)

// Ready and Waiting are the numbers of actions in a filled ledger that are not done.
const (
	Ready   = 10
	Waiting = 20
)

// ID returns the id of the i-th action. It looks random.
func ID(i int) string {
	sum := sha256.Sum256(fmt.Append(nil, i))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// Host returns the DNS name of the host of the i-th action. Every host has four.
func Host(i int) string { return fmt.Sprintf("fin-ws-%05d.contoso.com", i/4) }

// Case returns the case of the i-th action. Every case has ten.
func Case(i int) string { return fmt.Sprintf("INC-%d", 10_000+i/10) }

// Fill makes a ledger of a tenant's actions, one a minute up to now: first those that are done, nine in ten
// archived, then those that are not. It writes rows in bulk, since the ledger itself waits for the disk each time.
func Fill(tb testing.TB, path, tenantID string, done int, now time.Time) {
	tb.Helper()
	models := writeModels(tb, path, tenantID, now)
	file, err := sql.Open("sqlite", path)
	if err == nil {
		err = fill(tb.Context(), file, models, done, now)
	}
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// models are the ids of rows to copy.
type models struct{ archived, notCollected, ready, waiting investigation.ID }

// writeModels makes the ledger write a row of each kind.
func writeModels(tb testing.TB, path, tenantID string, now time.Time) models {
	tb.Helper()
	db, err := embedded.OpenDB(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	}()
	ledger := embedded.NewLedger(db)
	write := func(digit string, status investigation.Status, archive, announce bool) investigation.ID {
		a := investigation.Action{
			ID: investigation.ID{TenantID: tenantID, ActionID: strings.Repeat(digit, 40)}, Status: status,
			MachineID: strings.Repeat("0", 40), ComputerDNSName: "host.contoso.com", CaseID: "INC-1", RequestSource: "Portal",
			Requestor: "ana@contoso.com", RequestorComment: "INC-1 suspicious PowerShell", CreatedAt: now,
		}
		_, err := ledger.Change(tb.Context(), a.ID, investigation.Observe(a, now))
		change := investigation.Unchanged()
		if err == nil && archive {
			_, err = ledger.Change(tb.Context(), a.ID, investigation.Claim("ada", now, now.Add(time.Minute)))
			change = investigation.Archive("ada", investigation.Arrival{At: now, Receipt: investigation.Receipt{
				Bucket: "evidence", Size: 7 << 20, SHA256: strings.Repeat("ab", 32), CRC32C: "AAAAAA==", PartSize: 8 << 20,
				Key:       "packages/" + tenantID + "/" + a.MachineID + "/20261124T090000Z_" + a.ActionID + ".zip",
				Retention: investigation.Retention{Mode: "GOVERNANCE", Until: now.AddDate(1, 0, 0).Truncate(time.Second)}}})
		}
		if err == nil && announce {
			_, err = ledger.Seal(tb.Context(), a.ID, change, &memory.Sealer{})
		}
		if err == nil && announce {
			_, err = ledger.Change(tb.Context(), a.ID, investigation.Announce(investigation.Conclusion{At: now}))
		}
		if err != nil {
			tb.Fatal(err)
		}
		return a.ID
	}
	return models{
		archived:     write("1", investigation.StatusSucceeded, true, true),
		notCollected: write("2", investigation.StatusTimeOut, false, true),
		ready:        write("3", investigation.StatusSucceeded, false, false),
		waiting:      write("4", investigation.StatusPending, false, false),
	}
}

// fill replaces the models by copies of them.
func fill(ctx context.Context, file *sql.DB, m models, done int, now time.Time) (err error) {
	tx, err := file.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	_, err = tx.ExecContext(ctx, "CREATE TEMP TABLE models AS SELECT * FROM actions; DELETE FROM actions")
	if err != nil {
		return err
	}
	records := map[investigation.ID]map[string]any{}
	for _, id := range []investigation.ID{m.archived, m.notCollected, m.ready, m.waiting} {
		var text string
		err = tx.QueryRowContext(ctx, "SELECT record FROM models WHERE action_id = ?", id.ActionID).Scan(&text)
		if err == nil {
			fields := map[string]any{}
			err = json.Unmarshal([]byte(text), &fields)
			records[id] = fields
		}
		if err != nil {
			return err
		}
	}
	insert, err := tx.PrepareContext(ctx, `INSERT INTO actions (tenant_id, action_id, lane, due_at, record, state,
			outcome, announced_at, created_at, machine_id, host, requestor, case_id)
		SELECT tenant_id, ?, lane, due_at, ?, state, outcome, iif(announced_at = '', '', ?), ?, ?, ?, requestor, ?
		FROM models WHERE action_id = ?`)
	if err != nil {
		return err
	}
	all := done + Ready + Waiting
	for i := range all {
		model := m.archived
		switch {
		case i >= done+Ready:
			model = m.waiting
		case i >= done:
			model = m.ready
		case i%10 == 9:
			model = m.notCollected
		}
		created := now.Add(-time.Duration(all-i) * time.Minute).UTC().Truncate(time.Second)
		machine := fmt.Sprintf("%040x", i/4)
		fields := records[model]
		fields["actionId"], fields["machineId"], fields["computerDnsName"] = ID(i), machine, Host(i)
		fields["caseId"], fields["createdAt"], fields["observedAt"] = Case(i), created, created
		if fields["announcedAt"] != nil {
			fields["announcedAt"] = created
		}
		text, err := json.Marshal(fields)
		if err != nil {
			return err
		}
		at := created.Format("2006-01-02T15:04:05.000000000Z")
		_, err = insert.ExecContext(ctx, ID(i), string(text), at, at, machine, Host(i), strings.ToLower(Case(i)), model.ActionID)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}
