package embedded

import (
	"strings"

	"packhorse/internal/investigation"
)

// of is the id of the tenant whose rows are searched. Empty, it stands for every tenant.
type of string

// sql returns a query for columns of the rows that meet the term, through the index. It fails, rather than read
// the whole table, if the index is of no use for the term.
func (tenantID of) sql(columns, index, term string, args ...any) (string, []any) {
	columns = "SELECT " + columns + " FROM "
	switch {
	case tenantID != "":
		return columns + "actions INDEXED BY " + index + " WHERE tenant_id = ? AND " + term,
			append([]any{string(tenantID)}, args...)
	case index == newestIndex || index == actionIndex: // which do not begin with the tenant
		return columns + "actions INDEXED BY " + index + " WHERE " + term, args
	default:
		return withTenants + columns + "tenants CROSS JOIN actions INDEXED BY " + index +
			" WHERE tenant_id = tenants.id AND " + term, args
	}
}

const (
	newestIndex  = "newest"
	actionIndex  = "by_action"
	machineIndex = "by_machine"
)

// keyColumns are where a row is and what keys are sorted by. Every index has them, so that a search reads no rows.
const keyColumns = "actions.rowid AS place, tenant_id, action_id, created_at"

// keys is a search for the keys of rows. Unindexed rows are added, unless indexedOnly is set.
type keys struct {
	tenantID    string    // empty: of every tenant
	searches    []indexed // whose results are united
	terms       []string  // which every result meets
	args        []any     // of the terms
	limit       int       // only the newest; 0: all
	indexedOnly bool
}

// indexed is one search of an index.
type indexed struct {
	index, term string
	args        []any
}

func (k *keys) search(index, term string, args ...any) {
	k.searches = append(k.searches, indexed{index, term, args})
}

func (k *keys) and(term string, args ...any) {
	k.terms, k.args = append(k.terms, term), append(k.args, args...)
}

// sql returns the query. If the index has the order of time, SQLite stops at the limit; otherwise it sorts keys,
// which are short.
func (k *keys) sql() (text string, args []any) {
	for i, s := range k.searches {
		term := strings.Join(append([]string{s.term}, k.terms...), " AND ")
		part, more := of(k.tenantID).sql(keyColumns, s.index, term, append(s.args[:len(s.args):len(s.args)], k.args...)...)
		switch {
		case len(k.searches) == 1:
			text = part
		case i == 0:
			text = "SELECT * FROM (" + part + ")"
		default:
			text += " UNION SELECT * FROM (" + part + ")"
		}
		args = append(args, more...)
	}
	limit := -1
	if k.limit > 0 {
		limit = k.limit
	}
	return text + " ORDER BY created_at DESC, action_id DESC, tenant_id LIMIT ?", append(args, limit)
}

// last comes after every text that can follow a beginning.
const last = "\U0010FFFF"

// keysOf returns the search for a filter in a tenant: through the index that is likely to leave the fewest rows, with every
// other field as a term.
func keysOf(tenantID string, f investigation.Filter) keys {
	k := keys{tenantID: tenantID, limit: f.Limit}
	switch values := outcomes(f.State); {
	case isOpenState(f.State):
		k.search("open", "state <> 'done' AND state = ?", f.State)
	case f.ActionID != "":
		k.search(actionIndex, "action_id >= ? AND action_id < ?", bounds(strings.ToLower(f.ActionID))...)
	case f.Case != "":
		k.search("by_case", "case_id <> '' AND case_id = ?", investigation.Fold(f.Case))
	case f.Machine != "":
		k.searchMachine(investigation.Fold(f.Machine))
	case f.Requestor != "":
		k.search("by_requestor", "requestor <> '' AND requestor = ?", investigation.Fold(f.Requestor))
	case values != nil:
		k.search("by_outcome", "outcome <> '' AND outcome IN ("+placeholders(values)+")", values...)
	case tenantID != "":
		k.search("newest_of_tenant", "created_at > ''")
	default:
		k.search(newestIndex, "created_at > ''")
	}
	k.andAll(f)
	return k
}

// searchMachine searches for an id, a DNS name, or the name without its domain.
func (k *keys) searchMachine(name string) {
	k.search(machineIndex, "machine_id = ?", name)
	k.search("by_host", "host = ?", name)
	if !strings.Contains(name, ".") {
		k.search("by_host", "host >= ? AND host < ?", name+".", name+"/") // "/" follows "."
	}
}

// andAll adds every field of the filter as a term. One that was searched for costs nothing more.
func (k *keys) andAll(f investigation.Filter) {
	if f.ActionID != "" {
		k.and("action_id >= ? AND action_id < ?", bounds(strings.ToLower(f.ActionID))...)
	}
	if f.Case != "" {
		k.and("case_id = ?", investigation.Fold(f.Case))
	}
	if f.Machine != "" && k.searches[0].index != machineIndex { // it would make the search read rows
		k.andMachine(investigation.Fold(f.Machine))
	}
	if f.Requestor != "" {
		k.and("requestor = ?", investigation.Fold(f.Requestor))
	}
	if values := outcomes(f.State); values != nil {
		k.and("outcome IN ("+placeholders(values)+")", values...)
	} else if f.State != "" {
		k.and("state = ?", f.State)
	}
	if !f.Since.IsZero() {
		k.and("created_at >= ?", orderedTime(f.Since))
	}
	if !f.Until.IsZero() {
		k.and("created_at < ?", orderedTime(f.Until))
	}
}

func (k *keys) andMachine(name string) {
	if strings.Contains(name, ".") {
		k.and("(machine_id = ? OR host = ?)", name, name)
	} else {
		k.and("(machine_id = ? OR host = ? OR host >= ? AND host < ?)", name, name, name+".", name+"/")
	}
}

// bounds returns the first text that begins with the text, and one that follows all of them.
func bounds(beginning string) []any { return []any{beginning, beginning + last} }

// isOpenState reports whether state is one of those that most actions have left.
func isOpenState(state string) bool {
	switch investigation.State(state) {
	case investigation.StateWaiting, investigation.StateReady, investigation.StateFetching:
		return true
	default:
		return false
	}
}

// outcomes returns the values of the column outcome that the state stands for, or nil for a state proper.
func outcomes(state string) []any {
	if state == string(investigation.StateArchived) {
		return []any{state}
	}
	var values []any
	for _, reason := range investigation.Reasons() {
		if state == string(investigation.StateNotCollected) || state == string(reason) {
			values = append(values, string(reason))
		}
	}
	return values
}

func placeholders(values []any) string {
	return strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
}
