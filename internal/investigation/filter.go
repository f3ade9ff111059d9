package investigation

import (
	"slices"
	"strings"
	"time"
)

// Filter selects records. Empty fields match everything.
type Filter struct {
	TenantID  string
	ActionID  string // the id or its beginning, in any case
	Machine   string // an id, a DNS name, or the name without its domain; in any case
	Requestor string // in any case
	Case      string // in any case
	State     string // a state, a reason, or "archived" and "notCollected" as outcomes
	Since     time.Time
	Until     time.Time
	Limit     int // at most this many, the newest; 0 means all
}

// Matches reports whether the filter selects rec. It ignores Limit.
func (f Filter) Matches(rec Record) bool {
	switch {
	case f.TenantID != "" && rec.TenantID != f.TenantID,
		f.ActionID != "" && !strings.HasPrefix(rec.ActionID, strings.ToLower(f.ActionID)),
		f.Machine != "" && !rec.IsMachine(f.Machine),
		f.Requestor != "" && !strings.EqualFold(rec.Requestor, f.Requestor),
		f.Case != "" && !strings.EqualFold(rec.CaseID, f.Case),
		f.State != "" && !rec.isState(f.State),
		!f.Since.IsZero() && rec.CreatedAt.Before(f.Since),
		!f.Until.IsZero() && !rec.CreatedAt.Before(f.Until):
		return false
	default:
		return true
	}
}

// Select returns the records that the filter selects, newest first.
func (f Filter) Select(records []Record) []Record {
	var some []Record
	for _, rec := range records {
		if f.Matches(rec) {
			some = append(some, rec)
		}
	}
	slices.SortStableFunc(some, func(a, b Record) int { return ByCreation(b, a) })
	if f.Limit > 0 && len(some) > f.Limit {
		some = some[:f.Limit]
	}
	return some
}

// IsMachine reports whether name is the machine's id, its DNS name, or that name without its domain. Case
// does not matter.
func (a Action) IsMachine(name string) bool {
	short, _, _ := strings.Cut(a.ComputerDNSName, ".")
	return strings.EqualFold(a.MachineID, name) || a.ComputerDNSName != "" &&
		(strings.EqualFold(a.ComputerDNSName, name) || strings.EqualFold(short, name))
}

// isState compares archived and notCollected with the outcome, whether announced or not.
func (r Record) isState(state string) bool {
	switch state {
	case string(StateArchived):
		return r.Receipt.Key != ""
	case string(StateNotCollected):
		return r.Reason != ""
	default:
		return string(r.State) == state || string(r.Reason) == state
	}
}
