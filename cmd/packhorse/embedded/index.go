package embedded

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/internal/investigation"
)

// indexRow has the columns that queries select by. They repeat facts of the record in a form that an index
// can search. They are written in the same statement as the record, and compared with it whenever it is read.
//
// A row is unindexed if these columns are empty: it was malformed when the file was migrated, or somebody
// mended it by hand and emptied them. Every query reads every unindexed row, because it might match. The next
// write of its record fills the columns.
type indexRow struct {
	state       string
	outcome     string // archived, a reason, or empty
	createdAt   string // see orderedTime
	announcedAt string // likewise; empty until then
	machineID   string
	host        string // folded (investigation.Fold): the DNS name, or the machine's id if it has none
	requestor   string // folded
	caseID      string // folded
}

// indexColumns are the names of the columns, in the order of [indexRow.values].
const indexColumns = "state, outcome, announced_at, created_at, machine_id, host, requestor, case_id"

// indexOf returns the columns for a record.
func indexOf(rec investigation.Record) indexRow {
	outcome := string(rec.Reason)
	if rec.Receipt.Key != "" {
		outcome = string(investigation.StateArchived)
	}
	return indexRow{
		state: string(rec.State), outcome: outcome,
		createdAt: orderedTime(rec.CreatedAt), announcedAt: orderedTime(rec.AnnouncedAt),
		machineID: rec.MachineID, host: investigation.Fold(cmp.Or(rec.ComputerDNSName, rec.MachineID)),
		requestor: investigation.Fold(rec.Requestor), caseID: investigation.Fold(rec.CaseID),
	}
}

// values are the arguments of a statement that writes the columns: first those that change as the work
// proceeds, then the facts of the action.
func (row *indexRow) values() []any { return append(row.progress(), row.facts()...) }

func (row *indexRow) progress() []any { return []any{row.state, row.outcome, row.announcedAt} }

func (row *indexRow) facts() []any {
	return []any{row.createdAt, row.machineID, row.host, row.requestor, row.caseID}
}

// columns are the scan destinations.
func (row *indexRow) columns() []any {
	return []any{&row.state, &row.outcome, &row.announcedAt, &row.createdAt, &row.machineID, &row.host,
		&row.requestor, &row.caseID}
}

func (row *indexRow) isEmpty() bool { return *row == indexRow{} }

// check returns an error that names each column in which the row and the record differ.
func (row *indexRow) check(rec investigation.Record) error {
	want := indexOf(rec)
	if *row == want || row.isEmpty() {
		return nil
	}
	var different []string
	got, values := row.values(), want.values()
	for i, name := range strings.Split(indexColumns, ", ") {
		if got[i] != values[i] {
			different = append(different, fmt.Sprintf("%s is %.40q, and %.40q in the record", name, got[i], values[i]))
		}
	}
	return fmt.Errorf("columns differ from the record: %s", strings.Join(different, "; "))
}

// orderedTime writes a time with a fixed width, so that text order is time order. Nothing is cut off: RFC
// 3339 has no more than nanoseconds, and valid records have years of four digits. The zero time is empty.
func orderedTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
}
