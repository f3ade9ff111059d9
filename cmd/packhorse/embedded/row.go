package embedded

import (
	"time"

	"packhorse/internal/investigation"
)

// recordRow is an investigation.Record as it is written. It has names of its own so that a field
// renamed in the code does not change what is on disk.
type recordRow struct {
	TenantID         string               `json:"tenantId"`
	ActionID         string               `json:"actionId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName,omitempty"`
	Requestor        string               `json:"requestor,omitempty"`
	RequestorComment string               `json:"requestorComment,omitempty"`
	RequestSource    string               `json:"requestSource,omitempty"`
	Status           investigation.Status `json:"status,omitempty"`
	CreatedAt        time.Time            `json:"createdAt,omitzero"`
	LastUpdatedAt    time.Time            `json:"lastUpdatedAt,omitzero"`
	CompletedAt      time.Time            `json:"completedAt,omitzero"` // derived; for whoever looks
	State            investigation.State  `json:"state"`
	Attempts         int                  `json:"attempts,omitempty"`
	ExpiredLinks     int                  `json:"expiredLinks,omitempty"`
	Owner            string               `json:"owner,omitempty"`
	LeaseUntil       time.Time            `json:"leaseUntil,omitzero"`
	DueAt            time.Time            `json:"dueAt,omitzero"`
	Lane             investigation.Lane   `json:"lane,omitempty"`
	Receipt          *receiptRow          `json:"receipt,omitempty"`
	ManifestKey      string               `json:"manifestKey,omitempty"`
	Reason           investigation.Reason `json:"reason,omitempty"`
	Message          string               `json:"message,omitempty"`
	ObservedAt       time.Time            `json:"observedAt,omitzero"`
	ArchivedAt       time.Time            `json:"archivedAt,omitzero"`
	AnnouncedAt      time.Time            `json:"announcedAt,omitzero"`
}

type receiptRow struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId,omitempty"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	CRC32C    string `json:"crc"`
}

func rowOf(r investigation.Record) recordRow {
	row := recordRow{
		TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, RequestSource: r.RequestSource, Status: r.Status,
		CreatedAt: r.CreatedAt.UTC(), LastUpdatedAt: r.LastUpdatedAt.UTC(),
		CompletedAt: r.CompletedAt().UTC(), State: r.State,
		Attempts: r.Attempts, ExpiredLinks: r.ExpiredLinks, Owner: r.Owner,
		LeaseUntil: r.LeaseUntil.UTC(), DueAt: r.DueAt.UTC(), Lane: r.Lane,
		ManifestKey: r.ManifestKey, Reason: r.Reason, Message: r.Message,
		ObservedAt: r.ObservedAt.UTC(), ArchivedAt: r.ArchivedAt.UTC(),
		AnnouncedAt: r.AnnouncedAt.UTC(),
	}
	if r.Receipt != (investigation.Receipt{}) {
		receipt := receiptRow(r.Receipt)
		row.Receipt = &receipt
	}
	return row
}

func (row recordRow) record() investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: row.TenantID, ActionID: row.ActionID},
			MachineID: row.MachineID, ComputerDNSName: row.ComputerDNSName,
			Requestor: row.Requestor, RequestorComment: row.RequestorComment,
			RequestSource: row.RequestSource, Status: row.Status,
			CreatedAt: row.CreatedAt, LastUpdatedAt: row.LastUpdatedAt,
		},
		State: row.State, Attempts: row.Attempts, ExpiredLinks: row.ExpiredLinks,
		Owner: row.Owner, LeaseUntil: row.LeaseUntil, DueAt: row.DueAt, Lane: row.Lane,
		ManifestKey: row.ManifestKey, Reason: row.Reason, Message: row.Message,
		ObservedAt: row.ObservedAt, ArchivedAt: row.ArchivedAt, AnnouncedAt: row.AnnouncedAt,
	}
	if row.Receipt != nil {
		rec.Receipt = investigation.Receipt(*row.Receipt)
	}
	return rec
}
