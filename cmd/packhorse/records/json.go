package records

import (
	"io"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// line is a record as JSON. Fields may be added, but are never changed or removed. Only times are left out
// while they are not known.
type line struct {
	Event   string    `json:"event"`
	Version string    `json:"version"`
	Time    time.Time `json:"time"` // when the line was written

	TenantID         string `json:"tenantId"`
	ActionID         string `json:"actionId"`
	MachineID        string `json:"machineId"`
	ComputerDNSName  string `json:"computerDnsName"`
	Requestor        string `json:"requestor"`
	RequestorComment string `json:"requestorComment"`
	CaseID           string `json:"caseId"`
	RequestSource    string `json:"requestSource"`
	Status           string `json:"status"` // Defender's

	State       string    `json:"state"`
	Outcome     string    `json:"outcome"` // archived, notCollected, or empty while it is not decided
	Reason      string    `json:"reason"`
	Message     string    `json:"message"`
	Attempts    int       `json:"attempts"`
	CreatedAt   time.Time `json:"createdAt"`
	CompletedAt time.Time `json:"completedAt,omitzero"`
	DueAt       time.Time `json:"dueAt,omitzero"`
	ArchivedAt  time.Time `json:"archivedAt,omitzero"`
	AnnouncedAt time.Time `json:"announcedAt,omitzero"`
	Bucket      string    `json:"bucket"`
	Key         string    `json:"key"`
	VersionID   string    `json:"versionId"`
	Size        int64     `json:"size"` // bytes
	SHA256      string    `json:"sha256"`
	ManifestKey string    `json:"manifestKey"`
	Quarantine  string    `json:"quarantineKey"`
	Sequence    int64     `json:"sequence"`

	Strangers     []investigation.Stranger `json:"strangers"`
	StrangersMore int                      `json:"strangersMore"`
}

// Values of outcome.
const (
	outcomeArchived     = "archived"
	outcomeNotCollected = "notCollected"
)

func outcome(rec investigation.Record) string {
	switch {
	case rec.Reason != "":
		return outcomeNotCollected
	case rec.Receipt.Key != "":
		return outcomeArchived
	default:
		return ""
	}
}

// JSON writes one object per line; its "event" is "record". now is the time of the lines.
func JSON(out io.Writer, records []investigation.Record, now time.Time) error {
	for _, rec := range records {
		err := console.WriteJSON(out, lineOf(rec, now))
		if err != nil {
			return err
		}
	}
	return nil
}

// PackageJSON writes one object about one package; its "event" is "package". It has the fields of a line of
// [JSON], and contents, which is null if the package does not exist or cannot be read.
func PackageJSON(out io.Writer, rec investigation.Record, now time.Time, contents any) error {
	l := lineOf(rec, now)
	l.Event = "package"
	return console.WriteJSON(out, struct {
		line
		Contents any `json:"contents"`
	}{l, contents})
}

func lineOf(rec investigation.Record, now time.Time) line {
	l := line{
		Event: "record", Version: event.Version, Time: now.UTC(), TenantID: rec.TenantID, ActionID: rec.ActionID,
		MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName, Requestor: rec.Requestor,
		RequestorComment: rec.RequestorComment, CaseID: rec.CaseID, RequestSource: rec.RequestSource,
		Status: string(rec.Status), State: string(rec.State), Outcome: outcome(rec), Reason: string(rec.Reason),
		Message: rec.Message, Attempts: rec.Attempts, CreatedAt: rec.CreatedAt, CompletedAt: rec.CompletedAt(),
		DueAt: rec.DueAt, ArchivedAt: rec.ArchivedAt, AnnouncedAt: rec.AnnouncedAt, Bucket: rec.Receipt.Bucket,
		Key: rec.Receipt.Key, VersionID: rec.Receipt.VersionID, Size: rec.Receipt.Size,
		SHA256: rec.Receipt.SHA256, ManifestKey: rec.ManifestKey, Quarantine: rec.Quarantine.Key,
		Sequence: rec.Seal.Sequence, Strangers: rec.Strangers.List(), StrangersMore: rec.Strangers.More(),
	}
	if l.Strangers == nil {
		l.Strangers = []investigation.Stranger{}
	}
	return l
}
