package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"packhorse/internal/investigation"
)

// migration upgrades a file from one version to the next.
type migration func(context.Context, *sql.Tx) error

// migrations returns them in order: the i-th upgrades from version i to i+1, where version 0 is an empty file.
// They were shipped, so the files they make never change.
func migrations() []migration {
	return []migration{statements(versionOne), statements(versionTwo), toVersionThree, statements(versionFour), statements(versionFive)}
}

// tables is the number of tables in a file of each version, from 0 on.
func tables() [schemaVersion + 1]int { return [...]int{0, 2, 3, 3, 4, 5} }

func statements(text string) migration {
	return func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, text)
		return err
	}
}

const versionOne = `
CREATE TABLE actions (
	tenant_id TEXT NOT NULL,
	action_id TEXT NOT NULL,
	lane      TEXT NOT NULL, -- empty: nothing to be done
	due_at    INTEGER NOT NULL, -- milliseconds since 1970
	record    TEXT NOT NULL, -- JSON
	PRIMARY KEY (tenant_id, action_id)
) WITHOUT ROWID;
CREATE INDEX due ON actions (tenant_id, lane, due_at, action_id) WHERE lane <> '';
CREATE TABLE budgets (
	name  TEXT PRIMARY KEY,
	state TEXT NOT NULL -- JSON
) WITHOUT ROWID;
`

const versionTwo = `
CREATE TABLE chains (
	tenant_id TEXT PRIMARY KEY,
	sequence  INTEGER NOT NULL, -- of the last manifest; the first has 1
	digest    TEXT NOT NULL -- SHA-256 of its bytes, lower-case hexadecimal
) WITHOUT ROWID;
`

// versionThree adds the columns of [indexRow]. They stand before the record, because SQLite reads a long row
// only as far as it must. They have no default: a process of an earlier version that still has the file open
// fails when it writes, rather than leave columns that contradict the record.
//
// The table is no longer WITHOUT ROWID: rows of a kilobyte in a tree of keys leave four keys to a page, so that
// the tree was ten pages deep at 100,000 records.
const versionThree = `
DROP INDEX due;
ALTER TABLE actions RENAME TO actions_before;
CREATE TABLE actions (
	tenant_id    TEXT NOT NULL,
	action_id    TEXT NOT NULL,
	lane         TEXT NOT NULL, -- empty: nothing to be done
	due_at       INTEGER NOT NULL, -- milliseconds since 1970
	state        TEXT NOT NULL,
	outcome      TEXT NOT NULL, -- archived, a reason why not, or empty
	announced_at TEXT NOT NULL, -- in UTC with nine decimals, so that the order of text is that of time
	created_at   TEXT NOT NULL, -- likewise
	machine_id   TEXT NOT NULL,
	host         TEXT NOT NULL, -- in lower case, like what follows
	requestor    TEXT NOT NULL,
	case_id      TEXT NOT NULL,
	record       TEXT NOT NULL, -- JSON; the columns from state on repeat what it says
	PRIMARY KEY (tenant_id, action_id)
);
`

// versionThreeIndexes are made last, which is faster than keeping them up while rows are copied.
const versionThreeIndexes = `
DROP TABLE actions_before;
CREATE INDEX due ON actions (tenant_id, lane, due_at, action_id) WHERE lane <> '';
CREATE INDEX unindexed ON actions (tenant_id) WHERE state = '';
CREATE INDEX open ON actions (tenant_id, state, created_at, action_id) WHERE state <> 'done';
CREATE INDEX newest ON actions (created_at, action_id, tenant_id DESC);
CREATE INDEX newest_of_tenant ON actions (tenant_id, created_at, action_id);
CREATE INDEX by_action ON actions (action_id, created_at, tenant_id);
CREATE INDEX by_machine ON actions (tenant_id, machine_id, created_at, action_id);
CREATE INDEX by_host ON actions (tenant_id, host, created_at, action_id);
CREATE INDEX by_requestor ON actions (tenant_id, requestor, created_at, action_id) WHERE requestor <> '';
CREATE INDEX by_case ON actions (tenant_id, case_id, created_at, action_id) WHERE case_id <> '';
CREATE INDEX by_outcome ON actions (tenant_id, outcome, created_at, action_id) WHERE outcome <> '';
CREATE INDEX announced ON actions (tenant_id, announced_at, outcome, created_at, action_id) WHERE announced_at <> '';
`

// copyBatch is how many rows are in memory at once during a migration.
const copyBatch = 500

// toVersionThree copies every row as it is and adds the columns of the index, which stay empty for a row that
// is not a record.
func toVersionThree(ctx context.Context, tx *sql.Tx) error {
	err := statements(versionThree)(ctx, tx)
	if err != nil {
		return err
	}
	var last investigation.ID
	for {
		rows, err := rowsBefore(ctx, tx, last)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			err = copyRow(ctx, tx, row)
			if err != nil {
				return err
			}
		}
		last = rows[len(rows)-1].id
	}
	// The rest: rows whose ids are not even text.
	err = statements(`
INSERT INTO actions SELECT tenant_id, action_id, lane, due_at, '', '', '', '', '', '', '', '', record
FROM actions_before AS b
WHERE NOT EXISTS (SELECT 1 FROM actions AS a WHERE a.tenant_id = b.tenant_id AND a.action_id = b.action_id)`)(ctx, tx)
	if err != nil {
		return err
	}
	return statements(versionThreeIndexes)(ctx, tx)
}

// rowsBefore reads the next rows of version 2 that come after an id.
func rowsBefore(ctx context.Context, tx *sql.Tx, after investigation.ID) (read []actionRow, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT tenant_id, action_id, lane, due_at, record FROM actions_before
		WHERE (tenant_id, action_id) > (?, ?) AND typeof(tenant_id) = 'text' AND typeof(action_id) = 'text'
		ORDER BY tenant_id, action_id LIMIT ?`, after.TenantID, after.ActionID, copyBatch)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var row actionRow
		err := rows.Scan(&row.id.TenantID, &row.id.ActionID, &row.lane, &row.dueAt, &row.text)
		if err != nil {
			return nil, fmt.Errorf("read a row of version 2: %w", err)
		}
		read = append(read, row)
	}
	return read, rows.Err()
}

// copyRow copies a row of version 2.
func copyRow(ctx context.Context, tx *sql.Tx, row actionRow) error {
	rec, err := row.decodeText()
	if err == nil {
		row.index = indexOf(rec)
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO actions (tenant_id, action_id, lane, due_at, record, `+indexColumns+`)
		SELECT tenant_id, action_id, lane, due_at, record, ?, ?, ?, ?, ?, ?, ?, ?
		FROM actions_before WHERE tenant_id = ? AND action_id = ?`,
		append(row.index.values(), row.id.TenantID, row.id.ActionID)...)
	return err
}
