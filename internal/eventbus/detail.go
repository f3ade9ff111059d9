// Package eventbus has the contract of the events Packhorse puts on its bus. Consumers build on it:
// fields are added, never changed or taken away. Delivery is at least once; consumers tell
// repetitions by the action id.
package eventbus

import (
	"time"

	"packhorse/internal/investigation"
)

// Source is the source of every event.
const Source = "packhorse"

// The detail types.
const (
	TypeReady        = "Investigation Package Ready"
	TypeArchived     = "Investigation Package Archived"
	TypeNotCollected = "Investigation Package Not Collected"
)

// version is the version of every detail.
const version = "1"

// Ready is the detail of TypeReady: an action whose package can be fetched.
type Ready struct {
	Version  string `json:"version"`
	TenantID string `json:"tenantId"`
	ActionID string `json:"actionId"`
}

// Archived is the detail of TypeArchived: a package that is in the archive.
type Archived struct {
	Version          string    `json:"version"`
	TenantID         string    `json:"tenantId"`
	ActionID         string    `json:"actionId"`
	MachineID        string    `json:"machineId"`
	ComputerDNSName  string    `json:"computerDnsName"`
	Requestor        string    `json:"requestor"`
	RequestorComment string    `json:"requestorComment"`
	RequestSource    string    `json:"requestSource"`
	CreatedAt        time.Time `json:"createdAt"`
	CompletedAt      time.Time `json:"completedAt"`
	ArchivedAt       time.Time `json:"archivedAt"`
	Bucket           string    `json:"bucket"`
	Key              string    `json:"key"`
	VersionID        string    `json:"versionId"`
	Size             int64     `json:"size"` // bytes
	SHA256           string    `json:"sha256"`
	ManifestKey      string    `json:"manifestKey"`
}

// NotCollected is the detail of TypeNotCollected: a package that there will not be.
type NotCollected struct {
	Version          string               `json:"version"`
	TenantID         string               `json:"tenantId"`
	ActionID         string               `json:"actionId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName"`
	Requestor        string               `json:"requestor"`
	RequestorComment string               `json:"requestorComment"`
	CreatedAt        time.Time            `json:"createdAt"`
	CompletedAt      time.Time            `json:"completedAt"`
	Reason           investigation.Reason `json:"reason"`
	Message          string               `json:"message"`
}

// NewReady returns the detail for an action.
func NewReady(id investigation.ID) Ready {
	return Ready{Version: version, TenantID: id.TenantID, ActionID: id.ActionID}
}

// NewArchived returns the detail for an archived record.
func NewArchived(r investigation.Record) Archived {
	return Archived{
		Version: version, TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, RequestSource: r.RequestSource,
		CreatedAt: r.CreatedAt.UTC(), CompletedAt: r.CompletedAt().UTC(),
		ArchivedAt: r.ArchivedAt.UTC(), Bucket: r.Receipt.Bucket, Key: r.Receipt.Key,
		VersionID: r.Receipt.VersionID, Size: r.Receipt.Size, SHA256: r.Receipt.SHA256,
		ManifestKey: r.ManifestKey,
	}
}

// NewNotCollected returns the detail for a record that was not collected.
func NewNotCollected(r investigation.Record) NotCollected {
	return NotCollected{
		Version: version, TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, CreatedAt: r.CreatedAt.UTC(),
		CompletedAt: r.CompletedAt().UTC(), Reason: r.Reason, Message: r.Message,
	}
}
