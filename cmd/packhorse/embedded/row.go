package embedded

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// actionRow is a row of the table actions: the columns that queries use, and the record.
type actionRow struct {
	id    investigation.ID
	lane  investigation.Lane
	dueAt string // may hold any text; a due time is a decimal integer
	index indexRow
	text  string
}

// columns are the scan destinations for selectRows.
func (row *actionRow) columns() []any {
	head := []any{&row.id.TenantID, &row.id.ActionID, &row.lane, &row.dueAt, &row.text}
	return append(head, row.index.columns()...)
}

// decode returns the record in the row. An error wraps investigation.ErrBadRecord and names the
// action.
func (row *actionRow) decode() (investigation.Record, error) {
	rec, err := row.decodeText()
	if err != nil {
		return investigation.Record{}, err
	}
	err = row.index.check(rec)
	if err != nil {
		return investigation.Record{}, row.bad(err)
	}
	return rec, nil
}

// decodeText is decode without regard to the columns of the index, which versions before 3 lack.
func (row *actionRow) decodeText() (investigation.Record, error) {
	var fields recordRow
	err := json.Unmarshal([]byte(row.text), &fields)
	if err != nil {
		return investigation.Record{}, row.bad(err)
	}
	rec := fields.record()
	if rec.ID != row.id || rec.Lane != row.lane || fmt.Sprint(toMillis(rec.DueAt)) != row.dueAt {
		return investigation.Record{}, row.bad(fmt.Errorf("the row is in lane %.40q, due at %.40q, and "+
			"the record is that of %.160q, in lane %.40q, due at %d", row.lane, row.dueAt, rec.ID, rec.Lane,
			toMillis(rec.DueAt)))
	}
	err = rec.Validate()
	if err != nil {
		return investigation.Record{}, row.bad(err)
	}
	return rec, nil
}

// bad returns the error for a row that is not a record.
func (row *actionRow) bad(why error) error {
	if !errors.Is(why, investigation.ErrBadRecord) {
		why = fmt.Errorf("%w: %w", investigation.ErrBadRecord, why)
	}
	return fmt.Errorf("the row of action %.160q: %w", row.id, why)
}

// saveRecord writes a record, after checking that it can be read back.
func saveRecord(ctx context.Context, tx *sql.Tx, rec investigation.Record) error {
	err := rec.Validate()
	if err != nil {
		return err
	}
	text, err := json.Marshal(rowOf(rec))
	if err != nil {
		return err
	}
	index := indexOf(rec)
	done, err := saveProgress(ctx, tx, rec, &index, string(text))
	if err != nil || done {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		INSERT INTO actions (tenant_id, action_id, lane, due_at, record, `+indexColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, action_id) DO UPDATE SET
			lane = excluded.lane, due_at = excluded.due_at, record = excluded.record,
			state = excluded.state, outcome = excluded.outcome, announced_at = excluded.announced_at,
			created_at = excluded.created_at, machine_id = excluded.machine_id, host = excluded.host,
			requestor = excluded.requestor, case_id = excluded.case_id`,
		append([]any{rec.TenantID, rec.ActionID, string(rec.Lane), toMillis(rec.DueAt), string(text)},
			index.values()...)...)
	return err
}

// saveProgress writes the record if the row has its facts already, and otherwise returns false. SQLite
// rewrites each index with a column that a statement sets, and most indexes have only facts.
func saveProgress(ctx context.Context, tx *sql.Tx, rec investigation.Record, index *indexRow, text string) (
	bool, error,
) {
	args := append([]any{string(rec.Lane), toMillis(rec.DueAt), text}, index.progress()...)
	args = append(append(args, rec.TenantID, rec.ActionID), index.facts()...)
	result, err := tx.ExecContext(ctx, `
		UPDATE actions SET lane = ?, due_at = ?, record = ?, state = ?, outcome = ?, announced_at = ?
		WHERE tenant_id = ? AND action_id = ?
			AND created_at = ? AND machine_id = ? AND host = ? AND requestor = ? AND case_id = ?`, args...)
	if err != nil {
		return false, err
	}
	rows, err := result.RowsAffected()
	return rows > 0, err
}

// recordRow is the stored form of an investigation.Record. It has its own names, so renaming a
// field in the code does not change the format on disk.
type recordRow struct {
	TenantID         string               `json:"tenantId"`
	ActionID         string               `json:"actionId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName,omitempty"`
	Requestor        string               `json:"requestor,omitempty"`
	RequestorComment string               `json:"requestorComment,omitempty"`
	CaseID           string               `json:"caseId,omitempty"`
	RequestSource    string               `json:"requestSource,omitempty"`
	Status           investigation.Status `json:"status,omitempty"`
	CreatedAt        time.Time            `json:"createdAt,omitzero"`
	LastUpdatedAt    time.Time            `json:"lastUpdatedAt,omitzero"`
	CompletedAt      time.Time            `json:"completedAt,omitzero"` // derived; for people who read the file
	State            investigation.State  `json:"state"`
	Attempts         int                  `json:"attempts,omitempty"`
	ExpiredLinks     int                  `json:"expiredLinks,omitempty"`
	Owner            string               `json:"owner,omitempty"`
	ClaimedAt        time.Time            `json:"claimedAt,omitzero"`
	LeaseUntil       time.Time            `json:"leaseUntil,omitzero"`
	DueAt            time.Time            `json:"dueAt,omitzero"`
	Lane             investigation.Lane   `json:"lane,omitempty"`
	Claims           string               `json:"claims,omitempty"`
	Strangers        string               `json:"strangers,omitempty"`
	Receipt          *receiptRow          `json:"receipt,omitempty"`
	ManifestKey      string               `json:"manifestKey,omitempty"`
	Reason           investigation.Reason `json:"reason,omitempty"`
	Message          string               `json:"message,omitempty"`
	Cause            investigation.Cause  `json:"cause,omitempty"`
	Journal          string               `json:"journal,omitempty"`
	Quarantine       *receiptRow          `json:"quarantine,omitempty"`
	QuarantineSeal   *sealRow             `json:"quarantineSeal,omitempty"`
	Seal             *sealRow             `json:"seal,omitempty"`
	ObservedAt       time.Time            `json:"observedAt,omitzero"`
	ArchivedAt       time.Time            `json:"archivedAt,omitzero"`
	AnnouncedAt      time.Time            `json:"announcedAt,omitzero"`
}

type receiptRow struct {
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	VersionID   string    `json:"versionId,omitempty"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	CRC32C      string    `json:"crc"`
	PartSize    int64     `json:"partSize,omitempty"`
	LockMode    string    `json:"lockMode,omitempty"`
	RetainUntil time.Time `json:"retainUntil,omitzero"`
	LegalHold   bool      `json:"legalHold,omitempty"`
}

type sealRow struct {
	Sequence int64  `json:"sequence"`
	Digest   string `json:"digest"`
	Bucket   string `json:"bucket,omitempty"`
	Manifest string `json:"manifest,omitempty"`
}

// receiptRowOf returns nil for the zero receipt.
func receiptRowOf(r investigation.Receipt) *receiptRow {
	if r == (investigation.Receipt{}) {
		return nil
	}
	return &receiptRow{
		Bucket: r.Bucket, Key: r.Key, VersionID: r.VersionID, Size: r.Size, SHA256: r.SHA256,
		CRC32C: r.CRC32C, PartSize: r.PartSize, LockMode: r.Retention.Mode,
		RetainUntil: r.Retention.Until.UTC(), LegalHold: r.Retention.LegalHold,
	}
}

func (row *receiptRow) receipt() investigation.Receipt {
	if row == nil {
		return investigation.Receipt{}
	}
	return investigation.Receipt{
		Bucket: row.Bucket, Key: row.Key, VersionID: row.VersionID, Size: row.Size,
		SHA256: row.SHA256, CRC32C: row.CRC32C, PartSize: row.PartSize,
		Retention: investigation.Retention{
			Mode: row.LockMode, Until: row.RetainUntil.UTC(), LegalHold: row.LegalHold,
		},
	}
}

// sealRowOf returns nil for the zero seal.
func sealRowOf(s investigation.Seal) *sealRow {
	if s == (investigation.Seal{}) {
		return nil
	}
	row := sealRow(s)
	return &row
}

func (row *sealRow) seal() investigation.Seal {
	if row == nil {
		return investigation.Seal{}
	}
	return investigation.Seal(*row)
}

func rowOf(r investigation.Record) recordRow {
	return recordRow{
		TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, CaseID: r.CaseID, RequestSource: r.RequestSource,
		Status:    r.Status,
		CreatedAt: r.CreatedAt.UTC(), LastUpdatedAt: r.LastUpdatedAt.UTC(),
		CompletedAt: r.CompletedAt().UTC(), State: r.State,
		Attempts: r.Attempts, ExpiredLinks: r.ExpiredLinks, Owner: r.Owner,
		ClaimedAt: r.ClaimedAt.UTC(), LeaseUntil: r.LeaseUntil.UTC(), DueAt: r.DueAt.UTC(), Lane: r.Lane,
		Claims: string(r.Claims), Strangers: string(r.Strangers),
		Receipt: receiptRowOf(r.Receipt), ManifestKey: r.ManifestKey, Reason: r.Reason,
		Message: r.Message, Cause: r.Cause, Journal: string(r.Journal), Quarantine: receiptRowOf(r.Quarantine),
		QuarantineSeal: sealRowOf(r.QuarantineSeal), Seal: sealRowOf(r.Seal),
		ObservedAt: r.ObservedAt.UTC(), ArchivedAt: r.ArchivedAt.UTC(),
		AnnouncedAt: r.AnnouncedAt.UTC(),
	}
}

func (row recordRow) record() investigation.Record {
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: row.TenantID, ActionID: row.ActionID},
			MachineID: row.MachineID, ComputerDNSName: row.ComputerDNSName,
			Requestor: row.Requestor, RequestorComment: row.RequestorComment,
			CaseID: row.CaseID, RequestSource: row.RequestSource, Status: row.Status,
			CreatedAt: row.CreatedAt, LastUpdatedAt: row.LastUpdatedAt,
		},
		State: row.State, Attempts: row.Attempts, ExpiredLinks: row.ExpiredLinks,
		Owner: row.Owner, ClaimedAt: row.ClaimedAt, LeaseUntil: row.LeaseUntil, DueAt: row.DueAt, Lane: row.Lane,
		Claims: investigation.Claims(row.Claims), Strangers: investigation.Strangers(row.Strangers),
		Receipt: row.Receipt.receipt(), ManifestKey: row.ManifestKey, Reason: row.Reason,
		Message: row.Message, Cause: row.Cause, Journal: investigation.Journal(row.Journal),
		Quarantine: row.Quarantine.receipt(), QuarantineSeal: row.QuarantineSeal.seal(),
		Seal: row.Seal.seal(), ObservedAt: row.ObservedAt, ArchivedAt: row.ArchivedAt, AnnouncedAt: row.AnnouncedAt,
	}
}
