// Package event defines the events that Packhorse puts on its bus: their names and their fields. It is a
// contract with consumers: fields may be added, but are never changed or removed. Delivery is at least
// once; consumers recognize repetitions by the action id.
package event

import (
	"encoding/json"
	"time"

	"packhorse/internal/investigation"
)

// Source is the source of every event.
const Source = "packhorse"

// The detail types.
const (
	TypeReady        = "Investigation Package Ready"
	TypeDecided      = "Investigation Package Settled" // rules on the bus match this name
	TypeArchived     = "Investigation Package Archived"
	TypeNotCollected = "Investigation Package Not Collected"
)

// Version is the version of every detail.
const Version = "1"

// Envelope holds the fields that Packhorse reads of an event that EventBridge delivers to a function.
type Envelope struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
}

// Work is a task for the fetch function. It is the detail of TypeReady, for an action whose package can be
// fetched, and of TypeDecided, for an action whose outcome is decided but whose manifest is not written yet.
type Work struct {
	Version  string `json:"version"`
	TenantID string `json:"tenantId"`
	ActionID string `json:"actionId"`
}

// Archived is the detail of TypeArchived: the package is in the archive.
type Archived struct {
	Version          string    `json:"version"`
	TenantID         string    `json:"tenantId"`
	ActionID         string    `json:"actionId"`
	MachineID        string    `json:"machineId"`
	ComputerDNSName  string    `json:"computerDnsName"`
	Requestor        string    `json:"requestor"`
	RequestorComment string    `json:"requestorComment"`
	CaseID           string    `json:"caseId"` // empty if the comment does not name one
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
	ManifestSHA256   string    `json:"manifestSha256"`
	Sequence         int64     `json:"sequence"` // of the manifest in the tenant's chain
	// Strangers occupied the action's places in the archive, and are not Packhorse's.
	Strangers []Stranger `json:"strangers"`
	// Plain is set by [Of], for what is put on the bus.
	Plain Plain `json:"plain,omitzero"`
}

// Stranger is an object that Packhorse did not store, in a place where it stores something.
type Stranger struct {
	Key       string    `json:"key"`
	VersionID string    `json:"versionId"` // empty in a bucket without versions
	Size      int64     `json:"size"`      // bytes
	SHA256    string    `json:"sha256"`    // hexadecimal; empty if the note says why
	FoundAt   time.Time `json:"foundAt"`
	Note      string    `json:"note"`
}

// NotCollected is the detail of TypeNotCollected: the package will not come.
type NotCollected struct {
	Version          string               `json:"version"`
	TenantID         string               `json:"tenantId"`
	ActionID         string               `json:"actionId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName"`
	Requestor        string               `json:"requestor"`
	RequestorComment string               `json:"requestorComment"`
	CaseID           string               `json:"caseId"` // empty if the comment does not name one
	CreatedAt        time.Time            `json:"createdAt"`
	CompletedAt      time.Time            `json:"completedAt"`
	Reason           investigation.Reason `json:"reason"`
	Message          string               `json:"message"`
	ManifestKey      string               `json:"manifestKey"`
	ManifestSHA256   string               `json:"manifestSha256"`
	Sequence         int64                `json:"sequence"`      // of the manifest in the tenant's chain
	QuarantineKey    string               `json:"quarantineKey"` // of the object that came instead, or empty
	// Strangers occupied the action's places in the archive, and are not Packhorse's.
	Strangers []Stranger `json:"strangers"`
	// Plain is set by [Of], for what is put on the bus.
	Plain Plain `json:"plain,omitzero"`
}

// NewWork returns the work for an action.
func NewWork(id investigation.ID) Work {
	return Work{Version: Version, TenantID: id.TenantID, ActionID: id.ActionID}
}

// NewArchived returns the detail for an archived record.
func NewArchived(r investigation.Record) Archived {
	return Archived{
		Version: Version, TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, CaseID: r.CaseID, RequestSource: r.RequestSource,
		CreatedAt: r.CreatedAt.UTC(), CompletedAt: r.CompletedAt().UTC(),
		ArchivedAt: r.ArchivedAt.UTC(), Bucket: r.Receipt.Bucket, Key: r.Receipt.Key,
		VersionID: r.Receipt.VersionID, Size: r.Receipt.Size, SHA256: r.Receipt.SHA256,
		ManifestKey: r.ManifestKey, ManifestSHA256: r.Seal.Digest, Sequence: r.Seal.Sequence,
		Strangers: strangersOf(r),
	}
}

func strangersOf(r investigation.Record) []Stranger {
	strangers := []Stranger{}
	for _, s := range r.Strangers.List() {
		strangers = append(strangers, Stranger(s))
	}
	return strangers
}

// NewNotCollected returns the detail for a record that was not collected.
func NewNotCollected(r investigation.Record) NotCollected {
	return NotCollected{
		Version: Version, TenantID: r.TenantID, ActionID: r.ActionID, MachineID: r.MachineID,
		ComputerDNSName: r.ComputerDNSName, Requestor: r.Requestor,
		RequestorComment: r.RequestorComment, CaseID: r.CaseID, CreatedAt: r.CreatedAt.UTC(),
		CompletedAt: r.CompletedAt().UTC(), Reason: r.Reason, Message: r.Message,
		ManifestKey: r.ManifestKey, ManifestSHA256: r.Seal.Digest, Sequence: r.Seal.Sequence,
		QuarantineKey: r.Quarantine.Key, Strangers: strangersOf(r),
	}
}

// Of returns the type and detail of the event for a finished record: archived or not collected.
func Of(r investigation.Record) (string, any) {
	if r.Reason != "" {
		detail := NewNotCollected(r)
		detail.Plain = plainOf(r)
		return TypeNotCollected, detail
	}
	detail := NewArchived(r)
	detail.Plain = plainOf(r)
	return TypeArchived, detail
}
