package mde

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"packhorse/internal/investigation"
)

const (
	// nameBytesMax bounds names and statuses: a UPN has at most 1024 characters, a DNS name 255.
	nameBytesMax = 1 << 10
	// commentBytesMax bounds the comment, which people type.
	commentBytesMax = 4 << 10
	// excerptBytesMax is how much of a malformed row its error quotes.
	excerptBytesMax = 160
)

// row is a machine action as received. Each field is decoded separately, so one of an unexpected
// type does not spoil the others. encoding/json ignores the case of names.
type row struct {
	ID            json.RawMessage `json:"id"`
	Type          json.RawMessage `json:"type"`
	Status        json.RawMessage `json:"status"`
	MachineID     json.RawMessage `json:"machineId"`
	DNSName       json.RawMessage `json:"computerDnsName"`
	Requestor     json.RawMessage `json:"requestor"`
	Comment       json.RawMessage `json:"requestorComment"`
	RequestSource json.RawMessage `json:"requestSource"`
	Created       json.RawMessage `json:"creationDateTimeUtc"`
	// The documentation's property table and real responses use the first name, its list samples the
	// second.
	LastUpdate      json.RawMessage `json:"lastUpdateDateTimeUtc"`
	LastUpdateShort json.RawMessage `json:"lastUpdateTimeUtc"`
}

// decodeRow turns one row into an Action. For an action of another type, ok is false and odd is
// nil. The fields that determine the object key and the state must be valid. Descriptive fields
// (names, comment, last update) are left empty if malformed, because the package matters more than
// its label; ok is then true and odd says what was left out. An unknown status is kept unchanged.
func decodeRow(tenantID string, raw []byte) (a investigation.Action, ok bool, odd error) {
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		return a, false, malformed(raw, errors.New("not a JSON object"))
	}
	kind, err := text(r.Type, nameBytesMax)
	if err != nil || kind == "" {
		return a, false, malformed(raw, errors.New("the type is missing"))
	}
	if !strings.EqualFold(kind, investigation.TypeCollectPackage) {
		return a, false, nil
	}
	a, err = r.action(tenantID)
	if err != nil {
		return investigation.Action{}, false, malformed(raw, err)
	}
	a.LastUpdatedAt, err = r.lastUpdate()
	if err != nil {
		odd = malformed(raw, fmt.Errorf("%w: left out", err))
	}
	return a, true, odd
}

func (r row) action(tenantID string) (investigation.Action, error) {
	actionID, err := canonical(r.ID)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("id: %w", err)
	}
	machineID, err := canonical(r.MachineID)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("machineId: %w", err)
	}
	status, err := text(r.Status, nameBytesMax)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("status: %w", err)
	}
	created, err := instant(r.Created)
	if err != nil {
		return investigation.Action{}, fmt.Errorf("creationDateTimeUtc: %w", err)
	}
	a := investigation.Action{
		ID:               investigation.ID{TenantID: tenantID, ActionID: actionID},
		MachineID:        machineID,
		ComputerDNSName:  label(r.DNSName, nameBytesMax),
		Requestor:        label(r.Requestor, nameBytesMax),
		RequestorComment: label(r.Comment, commentBytesMax),
		RequestSource:    label(r.RequestSource, nameBytesMax),
		Status:           investigation.Status(status),
		CreatedAt:        created,
	}
	return a, a.Validate()
}

// lastUpdate returns the zero time if the row has no last update or a malformed one.
func (r row) lastUpdate() (time.Time, error) {
	updated, err := instant(r.LastUpdate)
	if err != nil {
		updated, _ = instant(r.LastUpdateShort) // zero if missing too
	}
	if updated.IsZero() || investigation.InRange(updated) {
		return updated, nil // .NET writes an unset time as the first instant of year 1
	}
	return time.Time{}, fmt.Errorf("its last update is in the year %d", updated.Year())
}

// malformed names the row and the fault, quoting as much of the row as is safe and useful.
func malformed(raw []byte, err error) error {
	beginning := string(raw[:min(len(raw), headBytesMax)])
	return fmt.Errorf("machine action %q: %w", cut(clean(beginning), excerptBytesMax), err)
}

var errNoText = errors.New("not a string")

// text decodes a JSON string and truncates it to bytesMax. A missing field and null give the empty
// string.
func text(raw json.RawMessage, bytesMax int) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", errNoText
	}
	return cut(strings.ToValidUTF8(s, "\uFFFD"), bytesMax), nil
}

// label decodes a descriptive text, and returns "" if it is malformed.
func label(raw json.RawMessage, bytesMax int) string {
	s, err := text(raw, bytesMax)
	if err != nil {
		return ""
	}
	return s
}

func canonical(raw json.RawMessage) (string, error) {
	s, err := text(raw, nameBytesMax)
	if err != nil {
		return "", err
	}
	return investigation.CanonicalID(strings.TrimSpace(s))
}

func instant(raw json.RawMessage) (time.Time, error) {
	s, err := text(raw, nameBytesMax)
	if err != nil {
		return time.Time{}, err
	}
	return parseTime(s)
}

// parseTime reads the times .NET writes: RFC 3339 with up to seven fractional digits, sometimes
// without a zone, which then means UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, strings.TrimSpace(s))
		if err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid time %.64q", s)
}

// cut truncates s to at most bytesMax bytes at a rune boundary. It copies the result, because a
// substring would keep all of s in memory.
func cut(s string, bytesMax int) string {
	if len(s) <= bytesMax {
		return s
	}
	for bytesMax > 0 && !utf8.RuneStart(s[bytesMax]) {
		bytesMax--
	}
	return strings.Clone(s[:bytesMax])
}
