package investigation

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// TypeCollectPackage is the only machine action type that Packhorse handles.
const TypeCollectPackage = "CollectInvestigationPackage"

// ID names one action of one tenant. Both parts are in canonical form (lower case), see [CanonicalID].
type ID struct {
	TenantID string
	ActionID string
}

// String returns "<tenantId>#<actionId>", the ledger's partition key.
func (id ID) String() string { return id.TenantID + "#" + id.ActionID }

// Status is the status that Defender reports for an action. The set is open: a value that is not one
// of the constants is kept unchanged and treated as "not finished yet".
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

// Finished reports whether the status is final: Defender will not change the action again.
func (s Status) Finished() bool {
	switch s {
	case StatusSucceeded, StatusFailed, StatusTimeOut, StatusCancelled:
		return true
	default:
		return false
	}
}

// Action is a Defender machine action of type CollectInvestigationPackage, as the tenant listed it at
// one moment. Names and comments are untrusted text: Packhorse stores them, but never interprets them
// or puts them into an object key.
type Action struct {
	ID
	MachineID        string
	ComputerDNSName  string // empty until Defender knows it
	Requestor        string // a UPN for people, an application's id or name for applications
	RequestorComment string
	CaseID           string // found in the comment; see [CasePattern]
	RequestSource    string
	Status           Status
	CreatedAt        time.Time
	LastUpdatedAt    time.Time // zero if Defender did not report it
}

// CompletedAt returns when the action finished, or the zero time if it has not. Defender does not
// report a completion time, so the last update of a finished action stands in for it.
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
var ErrBadAction = errors.New("invalid action")

// Validate reports whether Packhorse can handle the action. The object key is built from the ids and
// the creation time, so the ids must be canonical and the creation time present. Every time must be one
// that a ledger can store. Errors wrap [ErrBadAction].
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
	if !canBeWritten(a.LastUpdatedAt) { // an early one is harmless, and ledgers may already hold one
		return fmt.Errorf("%w: last update %s is out of range",
			ErrBadAction, a.LastUpdatedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// The range of valid years: Defender for Endpoint (then Defender ATP) appeared in 2016, and a key's
// time stamp has room for a year of four digits.
const (
	yearMin = 2016
	yearMax = 9999
)

// Defender's ids are GUIDs in practice; machine ids, and the action id of one documentation
// sample, are the 40 hexadecimal digits of a SHA-1.
var idForm = regexp.MustCompile(
	`^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{40})$`)

// CanonicalID returns s in lower case if it is a GUID or 40 hexadecimal digits. Otherwise it returns
// an error that quotes at most the first 64 characters of s. Ids in any other form never get into a key.
func CanonicalID(s string) (string, error) {
	lower := strings.ToLower(s)
	if !idForm.MatchString(lower) {
		return "", fmt.Errorf("%.64q is neither a GUID nor 40 hexadecimal digits", s)
	}
	return lower, nil
}
