package status

import (
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

const (
	// Recent is how far back finished actions are counted. It is a day and not the calendar's, so that a night's
	// work does not disappear from the status at midnight.
	Recent = 24 * time.Hour

	// youngFor is how long a waiting action is expected to end at any moment; an older one waits for a host that is
	// offline. It is the poller's figure (poll.YoungFor).
	youngFor = 30 * time.Minute
)

// Facts are what is known about a tenant.
type Facts struct {
	Member

	Health tenant.Health
	Open   []investigation.Record // those that are not done
	Counts investigation.Counts   // since now-Recent
	Budget Budget                 // zero if not known
	// Credential is zero if not known.
	Credential Credential
	Bad        error // names malformed records
	Unread     error // why the budget or the health could not be read
}

// Tenant is where the packages of a tenant stand.
type Tenant struct {
	TenantID  string
	Name      string // empty if it is not registered
	Suspended bool
	// Brief says that only the health was read, because nothing is to be fetched or recorded.
	Brief bool

	Health   tenant.Health
	Young    []investigation.Record // requested lately: may become ready at any moment
	Offline  []investigation.Record // requested long ago: their hosts seem to be offline
	Queue    []Queued               // ready, in the order in which they will be fetched
	Fetching []investigation.Record
	// Concluding are decided; their manifests are not stored yet, or their outcomes not announced.
	Concluding  []investigation.Record
	Counts      investigation.Counts
	OldestReady time.Time // when the oldest package that is not stored became available; zero if there is none
	Budget      Budget
	Credential  Credential // zero if not known
	Problems    []Problem  // what a person must mend
}

// Of draws the conclusions from the facts.
func Of(f Facts, now time.Time) Tenant {
	t := Tenant{TenantID: f.ID, Name: f.Name, Suspended: f.Suspended, Health: f.Health, Counts: f.Counts, Budget: f.Budget, Credential: f.Credential,
		Queue: queue(f.Open, f.Budget, now)}
	for _, rec := range f.Open {
		switch {
		case rec.State == investigation.StateWaiting && now.Sub(rec.CreatedAt) < youngFor:
			t.Young = append(t.Young, rec)
		case rec.State == investigation.StateWaiting:
			t.Offline = append(t.Offline, rec)
		case rec.State == investigation.StateFetching && !rec.Due(now):
			t.Fetching = append(t.Fetching, rec)
		case rec.State.Decided():
			t.Concluding = append(t.Concluding, rec)
		}
		if at := rec.CompletedAt(); isPackage(rec) && (t.OldestReady.IsZero() || at.Before(t.OldestReady)) {
			t.OldestReady = at
		}
	}
	t.Problems = problems(f, now)
	return t
}

// isPackage reports whether Defender has a package that is not stored yet.
func isPackage(rec investigation.Record) bool {
	return rec.State == investigation.StateReady || rec.State == investigation.StateFetching
}

// Due returns how many packages of the queue could be fetched now, if there were slots for all of them.
func (t Tenant) Due(now time.Time) int {
	due := 0
	for _, q := range t.Queue {
		if !q.Later(now) {
			due++
		}
	}
	return due
}

// LastDue returns the last package of the queue that could be fetched now. ok is false if there is none.
func (t Tenant) LastDue(now time.Time) (q Queued, ok bool) {
	for _, each := range t.Queue {
		if !each.Later(now) {
			q, ok = each, true
		}
	}
	return q, ok
}

// Cooling reports whether nothing is sent, because Defender answered 429.
func (t Tenant) Cooling(now time.Time) bool { return t.Budget.CooldownUntil.After(now) }
