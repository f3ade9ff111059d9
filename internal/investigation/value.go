package investigation

import (
	"cmp"
	"slices"
	"strings"
)

// Field is one that a [Filter] can select by.
type Field string

// The fields whose values a ledger can list.
const (
	FieldAction    Field = "action"
	FieldHost      Field = "host"
	FieldCase      Field = "case"
	FieldRequestor Field = "requestor"
)

// Of returns the record's value, or "". A host without a name has its machine id.
func (f Field) Of(rec Record) string {
	switch f {
	case FieldAction:
		return rec.ActionID
	case FieldHost:
		return cmp.Or(rec.ComputerDNSName, rec.MachineID)
	case FieldCase:
		return rec.CaseID
	case FieldRequestor:
		return rec.Requestor
	default:
		return ""
	}
}

// Value is a value that occurs in the ledger, with the newest record that has it.
type Value struct {
	Text   string
	Newest Record
}

// Beginning asks for values that begin with a text, for completing it.
type Beginning struct {
	TenantID string // empty: of any tenant
	Field    Field
	Text     string // in any case
	Limit    int    // the number of values
}

// Values returns the values in the records, which are sorted newest first: of actions the newest, of other
// fields the first in the order of their folded text ([Fold]). Values that differ only in case count as one.
func (b Beginning) Values(records []Record) []Value {
	var values []Value
	known := map[string]bool{}
	for _, rec := range records {
		text := b.Field.Of(rec)
		folded := Fold(text)
		if text == "" || known[folded] || !strings.HasPrefix(folded, Fold(b.Text)) ||
			b.TenantID != "" && rec.TenantID != b.TenantID {
			continue
		}
		known[folded] = true
		values = append(values, Value{Text: text, Newest: rec})
	}
	if b.Field != FieldAction {
		slices.SortFunc(values, func(v, w Value) int { return cmp.Compare(Fold(v.Text), Fold(w.Text)) })
	}
	return values[:min(b.Limit, len(values))]
}
