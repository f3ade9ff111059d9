package tenant

import "time"

// State says whether Packhorse works for a tenant.
type State string

const (
	// Active tenants are swept, and their packages fetched.
	Active State = "active"
	// Suspended tenants are left alone: no call is made for them. Their evidence stays.
	Suspended State = "suspended"
)

// Tenant is one entry of the registry: a directory whose packages are archived. It contains no secret.
//
// An empty field means what the stack says. Only ID, Name, State and the times always have a value.
type Tenant struct {
	ID    string // a GUID in lower case
	Name  string // what people call it
	State State

	ClientID string // of the app registration, a GUID in lower case

	Cloud        string // which Microsoft cloud the tenant is in; decides the four fields below
	APIURL       string
	AuthorityURL string
	Scope        string
	LinkHosts    string // a comma list
	CAPEM        string // extra root certificates

	Credential Credential

	PerMinute int // package links
	PerHour   int
	Lookback  time.Duration

	CasePattern string // finds the case id in a comment
	Bucket      string // of the evidence, as the three below
	Prefix      string
	LockMode    string
	LockDays    int
	LegalHold   string // "true" or "false"

	CreatedAt time.Time // both are UTC and cut to milliseconds
	ChangedAt time.Time

	// Version names the write that stored the entry. It is empty for an entry that is not stored yet.
	Version string
}

// New returns the entry of a tenant that was not registered before.
func New(t Tenant, now time.Time) Tenant {
	t.State, t.Version = Active, ""
	t.CreatedAt = cut(now)
	t.ChangedAt = t.CreatedAt
	return t
}

// Suspended returns the entry of a tenant that is left alone from now on.
func (t Tenant) Suspended(now time.Time) Tenant { return t.in(Suspended, now) }

// Resumed returns the entry of a tenant that is worked for again.
func (t Tenant) Resumed(now time.Time) Tenant { return t.in(Active, now) }

// in returns the entry in another state, or the entry itself if it is in that state already.
func (t Tenant) in(state State, now time.Time) Tenant {
	if t.State == state {
		return t
	}
	t.State, t.ChangedAt = state, cut(now)
	return t
}

// Replaced returns the entry with everything that a person chooses taken from another one. State, age and version
// stay.
func (t Tenant) Replaced(by Tenant, now time.Time) Tenant {
	by.ID, by.State, by.CreatedAt, by.Version = t.ID, t.State, t.CreatedAt, t.Version
	by.ChangedAt = t.ChangedAt
	if by != t {
		by.ChangedAt = cut(now)
	}
	return by
}
