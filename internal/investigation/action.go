package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// TypeCollectPackage is the one machine action type Packhorse carries.
const TypeCollectPackage = "CollectInvestigationPackage"

// ID names one action of one tenant. Both parts are canonical (lower case), see [CanonicalID].
type ID struct {
	TenantID string
	ActionID string
}

// String returns "<tenantId>#<actionId>", the ledger's partition key.
func (id ID) String() string { return id.TenantID + "#" + id.ActionID }

// Status is what Defender says of an action. The set is open: a value that is not among the
// constants is kept as it came and treated as "not finished yet".
type Status string

// The statuses Microsoft documents for a machine action (note TimeOut and the double l of
// Cancelled). Source: learn.microsoft.com/defender-endpoint/api/machineaction.
const (
	StatusPending    Status = "Pending"
	StatusInProgress Status = "InProgress"
	StatusSucceeded  Status = "Succeeded"
	StatusFailed     Status = "Failed"
	StatusTimeOut    Status = "TimeOut"
	StatusCancelled  Status = "Cancelled"
)

// Finished reports whether Defender will change the action no more.
func (s Status) Finished() bool {
	switch s {
	case StatusSucceeded, StatusFailed, StatusTimeOut, StatusCancelled:
		return true
	default:
		return false
	}
}

// Action is a Defender machine action of type CollectInvestigationPackage, as one look at the
// tenant showed it. Its names and comments are somebody else's words: they are carried, never
// interpreted, and never become part of an object key.
type Action struct {
	ID
	MachineID        string
	ComputerDNSName  string // empty while Defender does not know it yet
	Requestor        string // a UPN for people, an application's id or name for applications
	RequestorComment string
	CaseID           string // found in the comment; see [CasePattern]
	RequestSource    string
	Status           Status
	CreatedAt        time.Time
	LastUpdatedAt    time.Time // zero where Defender named none
}

// CompletedAt is the instant the action came to its end, or the zero time while it has not.
// Defender names no completion time of its own: the last update of a finished action is it.
func (a Action) CompletedAt() time.Time {
	switch {
	case !a.Status.Finished():
		return time.Time{}
	case a.LastUpdatedAt.IsZero():
		return a.CreatedAt
	default:
		return a.LastUpdatedAt
	}
}

// ErrBadAction is wrapped by every error of [Action.Validate].
var ErrBadAction = errors.New("the action makes no sense")

// Validate reports whether the action can be carried: the ids must be canonical and the creation
// time present, because the object key is made of them, and no time may be one that a ledger cannot
// keep. Errors wrap [ErrBadAction].
func (a Action) Validate() error {
	for _, part := range []struct{ name, value string }{
		{"tenant id", a.TenantID}, {"action id", a.ActionID}, {"machine id", a.MachineID},
	} {
		canonical, err := CanonicalID(part.value)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrBadAction, part.name, err)
		}
		if canonical != part.value {
			return fmt.Errorf("%w: %s %q is not in canonical form", ErrBadAction, part.name, part.value)
		}
	}
	if !InRange(a.CreatedAt) {
		return fmt.Errorf("%w: creation time %s is out of range",
			ErrBadAction, a.CreatedAt.UTC().Format(time.RFC3339))
	}
	if !canBeWritten(a.LastUpdatedAt) { // an early one does no harm, and may be in a ledger already
		return fmt.Errorf("%w: last update %s is out of range",
			ErrBadAction, a.LastUpdatedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// The years a time may lie in: Defender for Endpoint (then Defender ATP) appeared in 2016,
// and a key's time stamp has four digits.
const (
	yearMin = 2016
	yearMax = 9999
)

// Defender's ids are GUIDs in practice; machine ids, and the action id of one documentation
// sample, are the 40 hexadecimal digits of a SHA-1.
var idForm = regexp.MustCompile(
	`^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{40})$`)

// CanonicalID returns s in lower case if it is a GUID or 40 hexadecimal digits, and an error
// quoting at most the first 64 characters of it otherwise. Nothing else ever becomes part of a key.
func CanonicalID(s string) (string, error) {
	lower := strings.ToLower(s)
	if !idForm.MatchString(lower) {
		return "", fmt.Errorf("%.64q is neither a GUID nor 40 hexadecimal digits", s)
	}
	return lower, nil
}
