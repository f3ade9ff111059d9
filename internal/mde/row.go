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
	// excerptBytesMax is how much of a senseless row its error quotes.
	excerptBytesMax = 160
)

// row is a machine action as it comes. Each field is decoded by itself, so that one of an
// unexpected type does not take the others with it. encoding/json ignores the case of names.
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
	// The documentation's property table and what is seen on the wire have the first name, its
	// list samples the second.
	LastUpdate      json.RawMessage `json:"lastUpdateDateTimeUtc"`
	LastUpdateShort json.RawMessage `json:"lastUpdateTimeUtc"`
}

// decodeRow makes an Action of one row. ok is false, without an error, for an action of another
// type. What the object key and the state depend on must make sense; what is only told along
// (names, comment, last update) is left empty where it does not: a package is worth more than its
// label. Then ok is true, and odd says what was left out. An unknown status is kept as it came.
func decodeRow(tenantID string, raw []byte) (a investigation.Action, ok bool, odd error) {
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		return a, false, senseless(raw, errors.New("it is not a JSON object"))
	}
	kind, err := text(r.Type, nameBytesMax)
	if err != nil || kind == "" {
		return a, false, senseless(raw, errors.New("it has no type"))
	}
	if !strings.EqualFold(kind, investigation.TypeCollectPackage) {
		return a, false, nil
	}
	a, err = r.action(tenantID)
	if err != nil {
		return investigation.Action{}, false, senseless(raw, err)
	}
	a.LastUpdatedAt, err = r.lastUpdate()
	if err != nil {
		odd = senseless(raw, fmt.Errorf("%w: it is left out", err))
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

// lastUpdate returns the zero time where the row has none, and beside an error.
func (r row) lastUpdate() (time.Time, error) {
	updated, err := instant(r.LastUpdate)
	if err != nil {
		updated, _ = instant(r.LastUpdateShort) // zero where it is missing too
	}
	if updated.IsZero() || investigation.InRange(updated) {
		return updated, nil // .NET writes a time that was never set as the first instant of year 1
	}
	return time.Time{}, fmt.Errorf("its last update lies in the year %d", updated.Year())
}

// senseless says which row makes no sense and why, quoting as much of it as is safe and useful.
func senseless(raw []byte, err error) error {
	beginning := string(raw[:min(len(raw), headBytesMax)])
	return fmt.Errorf("machine action %q: %w", cut(clean(beginning), excerptBytesMax), err)
}

var errNoText = errors.New("it is no text")

// text decodes a JSON string, cut to bytesMax. A missing field and null are the empty text.
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

// label is a text that does not matter enough to fail for.
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

// parseTime reads the times .NET writes: RFC 3339 with up to seven digits of a second, sometimes
// without a zone, which then is UTC.
func parseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		t, err := time.Parse(layout, strings.TrimSpace(s))
		if err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.64q is no time", s)
}

// cut returns s, or a copy of as many whole runes of it as fit into bytesMax: a part of s would keep all
// of it in memory.
func cut(s string, bytesMax int) string {
	if len(s) <= bytesMax {
		return s
	}
	for bytesMax > 0 && !utf8.RuneStart(s[bytesMax]) {
		bytesMax--
	}
	return strings.Clone(s[:bytesMax])
}
