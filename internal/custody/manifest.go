// Package custody makes the record that lies beside a package and says what it is, who asked for
// it, and what was stored.
package custody

import (
	"encoding/json"
	"fmt"
	"time"

	"packhorse/internal/investigation"
)

// manifestVersion is raised when a field changes its meaning. Fields may be added.
const manifestVersion = "1"

// manifest is the file. Its field order is part of its form.
type manifest struct {
	Version string         `json:"version"`
	Action  manifestAction `json:"action"`
	Object  manifestObject `json:"object"`
}

type manifestAction struct {
	ID               string               `json:"id"`
	Type             string               `json:"type"`
	TenantID         string               `json:"tenantId"`
	MachineID        string               `json:"machineId"`
	ComputerDNSName  string               `json:"computerDnsName"`
	Requestor        string               `json:"requestor"`
	RequestorComment string               `json:"requestorComment"`
	RequestSource    string               `json:"requestSource"`
	Status           investigation.Status `json:"status"`
	CreatedAt        time.Time            `json:"createdAt"`
	CompletedAt      time.Time            `json:"completedAt"`
}

type manifestObject struct {
	Bucket    string `json:"bucket"`
	Key       string `json:"key"`
	VersionID string `json:"versionId"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	CRC32C    string `json:"crc32c"`
}

// Manifest returns the manifest of a stored package: JSON in UTF-8, with a line break at its end.
// It is made of facts of the ledger and the archive only, so that making it again after a crash
// gives the same bytes.
func Manifest(rec investigation.Record, receipt investigation.Receipt) ([]byte, error) {
	text, err := json.MarshalIndent(manifest{
		Version: manifestVersion,
		Action: manifestAction{
			ID: rec.ActionID, Type: investigation.TypeCollectPackage, TenantID: rec.TenantID,
			MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName,
			Requestor: rec.Requestor, RequestorComment: rec.RequestorComment,
			RequestSource: rec.RequestSource, Status: rec.Status,
			CreatedAt: rec.CreatedAt.UTC(), CompletedAt: rec.CompletedAt().UTC(),
		},
		Object: manifestObject(receipt),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the manifest of action %s: %w", rec.ActionID, err)
	}
	return append(text, '\n'), nil
}
