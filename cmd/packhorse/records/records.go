// Package records filters ledger records by host, requestor, case, state and time, and prints them.
package records

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// Filter selects records. Empty fields match everything.
type Filter struct {
	Machine   string // an id, a DNS name, or the name without its domain; in any case
	Requestor string // in any case
	Case      string // in any case
	State     string // one of investigation's, a reason, or "archived" and "notCollected" as outcomes
	Since     time.Time
	Until     time.Time
}

// States lists the values of Filter.State.
func States() []string {
	var states []string
	for _, state := range investigation.States() {
		if state != investigation.StateUnknown {
			states = append(states, string(state))
		}
	}
	for _, reason := range investigation.Reasons() {
		states = append(states, string(reason))
	}
	return states
}

// ParseState returns the state that text names, ignoring case.
func ParseState(text string) (string, error) {
	for _, state := range States() {
		if strings.EqualFold(state, text) {
			return state, nil
		}
	}
	return "", fmt.Errorf("unknown state %.40q: write one of %s", text, strings.Join(States(), ", "))
}

// ParseTime parses a time: RFC 3339, a date (midnight UTC), or an age such as 72h.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return t, nil
		}
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("invalid time %.40q: write 2026-03-04T05:06:07Z, 2026-03-04, or an "+
			"age such as 72h", text)
	}
	return now.Add(-ago), nil
}

// Matches reports whether the filter selects rec.
func (f Filter) Matches(rec investigation.Record) bool {
	switch {
	case f.Machine != "" && !isMachine(rec.Action, f.Machine),
		f.Requestor != "" && !strings.EqualFold(rec.Requestor, f.Requestor),
		f.Case != "" && !strings.EqualFold(rec.CaseID, f.Case),
		f.State != "" && !isState(rec, f.State),
		!f.Since.IsZero() && rec.CreatedAt.Before(f.Since),
		!f.Until.IsZero() && !rec.CreatedAt.Before(f.Until):
		return false
	default:
		return true
	}
}

func isMachine(a investigation.Action, name string) bool {
	short, _, _ := strings.Cut(a.ComputerDNSName, ".")
	return strings.EqualFold(a.MachineID, name) || a.ComputerDNSName != "" &&
		(strings.EqualFold(a.ComputerDNSName, name) || strings.EqualFold(short, name))
}

// isState compares archived and notCollected with the outcome, whether announced or not.
func isState(rec investigation.Record, state string) bool {
	switch state {
	case string(investigation.StateArchived):
		return rec.Receipt.Key != ""
	case string(investigation.StateNotCollected):
		return rec.Reason != ""
	default:
		return string(rec.State) == state || string(rec.Reason) == state
	}
}

// Select returns the records that match f, oldest first.
func Select(records []investigation.Record, f Filter) []investigation.Record {
	var some []investigation.Record
	for _, rec := range records {
		if f.Matches(rec) {
			some = append(some, rec)
		}
	}
	slices.SortStableFunc(some, investigation.ByCreation)
	return some
}

// ErrNoPair reports that the selected records do not contain two packages of one host.
var ErrNoPair error = noPair{}

type noPair struct{}

func (noPair) Error() string { return "no pair of packages to compare" }

// Advice says how to list the packages of a host.
func (noPair) Advice() string { return "packhorse list --machine NAME shows the packages of that host" }

// NewestPair returns the two newest archived packages in records, the older one first. All packages must be
// of the same host. Errors wrap [ErrNoPair].
func NewestPair(records []investigation.Record) ([]investigation.Record, error) {
	var archived []investigation.Record
	machines := map[string]bool{}
	for _, rec := range records {
		if rec.Receipt.Key != "" {
			archived = append(archived, rec)
			machines[rec.MachineID] = true
		}
	}
	switch {
	case len(machines) > 1:
		return nil, fmt.Errorf("%w: %d hosts have that name: pass the machine id instead", ErrNoPair, len(machines))
	case len(archived) < 2:
		return nil, fmt.Errorf("%w: the ledger has %d archived for this host, and two are needed", ErrNoPair,
			len(archived))
	}
	return archived[len(archived)-2:], nil
}

// Table writes the records as a table for people.
func Table(out io.Writer, records []investigation.Record) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "CREATED\tHOST\tREQUESTED BY\tCASE\tSTATE\tSIZE\tKEY\n")
	var strangers []string
	for _, rec := range records {
		size := "–"
		if rec.Receipt.Key != "" {
			size = console.Bytes(rec.Receipt.Size)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", rec.CreatedAt.UTC().Format("2006-01-02 15:04:05Z"),
			console.Clean(cmp.Or(rec.ComputerDNSName, rec.MachineID)), console.Clean(rec.Requestor),
			console.Clean(cmp.Or(rec.CaseID, "–")), console.Outcome(rec), size,
			console.CleanLine(cmp.Or(rec.Receipt.Key, rec.ManifestKey, "–")))
		for _, found := range rec.Strangers.List() {
			strangers = append(strangers, fmt.Sprintf(
				"Stranger  %s, %d bytes, %s\n          stored in place of a file of %s, found %s",
				console.CleanLine(found.Key), found.Size,
				console.CleanLine(cmp.Or(found.SHA256, found.Note, "SHA-256 not known")),
				console.CleanLine(cmp.Or(rec.ComputerDNSName, rec.MachineID)),
				found.FoundAt.UTC().Format("2006-01-02 15:04:05Z")))
		}
	}
	err := w.Flush()
	if err != nil {
		return err
	}
	for _, stranger := range strangers {
		_, err = fmt.Fprintf(out, "\n%s\n", stranger)
		if err != nil {
			return err
		}
	}
	return nil
}

// line is a record as JSON.
type line struct {
	Event            string    `json:"event"`
	TenantID         string    `json:"tenantId"`
	ActionID         string    `json:"actionId"`
	MachineID        string    `json:"machineId"`
	ComputerDNSName  string    `json:"computerDnsName"`
	Requestor        string    `json:"requestor"`
	RequestorComment string    `json:"requestorComment"`
	CaseID           string    `json:"caseId"`
	State            string    `json:"state"`
	Reason           string    `json:"reason,omitempty"`
	Message          string    `json:"message,omitempty"`
	CreatedAt        time.Time `json:"createdAt"`
	ArchivedAt       time.Time `json:"archivedAt,omitzero"`
	Bucket           string    `json:"bucket,omitempty"`
	Key              string    `json:"key,omitempty"`
	VersionID        string    `json:"versionId,omitempty"`
	Size             int64     `json:"size,omitempty"`
	SHA256           string    `json:"sha256,omitempty"`
	ManifestKey      string    `json:"manifestKey,omitempty"`
	QuarantineKey    string    `json:"quarantineKey,omitempty"`
	Sequence         int64     `json:"sequence,omitempty"`

	Strangers     []investigation.Stranger `json:"strangers,omitempty"`
	StrangersMore int                      `json:"strangersMore,omitempty"`
}

// JSON writes one object per line; its "event" is "record".
func JSON(out io.Writer, records []investigation.Record) error {
	for _, rec := range records {
		err := console.WriteJSON(out, line{
			Event: "record", TenantID: rec.TenantID, ActionID: rec.ActionID, MachineID: rec.MachineID,
			ComputerDNSName: rec.ComputerDNSName, Requestor: rec.Requestor,
			RequestorComment: rec.RequestorComment, CaseID: rec.CaseID, State: string(rec.State),
			Reason: string(rec.Reason), Message: rec.Message, CreatedAt: rec.CreatedAt,
			ArchivedAt: rec.ArchivedAt, Bucket: rec.Receipt.Bucket, Key: rec.Receipt.Key,
			VersionID: rec.Receipt.VersionID, Size: rec.Receipt.Size, SHA256: rec.Receipt.SHA256,
			ManifestKey: rec.ManifestKey, QuarantineKey: rec.Quarantine.Key, Sequence: rec.Seal.Sequence,
			Strangers: rec.Strangers.List(), StrangersMore: rec.Strangers.More(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
