// Package records filters ledger records by host, requestor, case, state and time, and prints them.
package records

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// States lists the values of investigation.Filter.State.
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

// ErrNoPair reports that the selected records do not contain two packages of one host.
var ErrNoPair error = noPair{}

type noPair struct{}

func (noPair) Error() string { return "no pair of packages to compare" }

// Advice says how to list the packages of a host.
func (noPair) Advice() string { return "packhorse list --machine NAME shows the packages of that host" }

// NewestPair returns the two newest archived packages in records, which are sorted newest first, the older
// one first. All packages must be of the same host. Errors wrap [ErrNoPair].
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
	return []investigation.Record{archived[1], archived[0]}, nil
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
