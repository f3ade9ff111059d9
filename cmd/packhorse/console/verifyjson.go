package console

import (
	"cmp"
	"io"
	"slices"
	"sync"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// VerifyJSON writes one JSON object per line, as docs/lines describes. Its "event" is checked, mismatch, unread
// (it could not be read), stranger (Packhorse did not store it, and it contradicts no record) or, in the last
// line, verified.
type VerifyJSON struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	out    io.Writer
	failed error // the first failed write; nothing is written after it
}

// NewVerifyJSON returns a reporter that writes to out. [VerifyJSON.Summary] returns the first write
// error.
func NewVerifyJSON(out io.Writer, now func() time.Time) *VerifyJSON {
	return &VerifyJSON{now: now, out: out}
}

func (j *VerifyJSON) write(line any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = WriteJSON(j.out, line)
	}
}

// Begin implements verify.Reporter.
func (j *VerifyJSON) Begin(int, int64) {}

// Reading implements verify.Reporter.
func (j *VerifyJSON) Reading(_ string, _ int64, body io.Reader) io.Reader { return body }

// ids name the action that a line is about, and its host. They are empty as far as nothing tells them.
type ids struct {
	ActionID        string `json:"actionId"`
	MachineID       string `json:"machineId"`
	ComputerDNSName string `json:"computerDnsName"`
}

// idsOf returns what a key of the archive says about its action.
func idsOf(key, host string) (tenantID string, of ids) {
	parts, _ := investigation.ParseKeyEnd(key)
	return parts.TenantID, ids{parts.ActionID, parts.MachineID, host}
}

// Checked writes a line with the results of the checks.
func (j *VerifyJSON) Checked(s verify.Subject) {
	_, about := idsOf(cmp.Or(s.ManifestKey, s.Key), s.Manifest.Action.ComputerDNSName)
	j.write(struct {
		Head
		Key         string `json:"key"`
		ManifestKey string `json:"manifestKey"`
		TenantID    string `json:"tenantId"`
		ids
		Outcome  string          `json:"outcome,omitempty"`
		Sequence int64           `json:"sequence,omitempty"`
		Bytes    int64           `json:"bytes"`
		OK       bool            `json:"ok"`
		Host     string          `json:"host,omitempty"`
		Case     string          `json:"case,omitempty"`
		Checks   []verify.Result `json:"checks"`
	}{
		NewHead("checked", s.Manifest.Simulated, j.now()), s.Key, s.ManifestKey, s.TenantID, about,
		string(s.Manifest.Outcome), s.Manifest.Chain.Sequence, s.Bytes, s.OK(), s.Manifest.Action.ComputerDNSName,
		s.Manifest.Action.CaseID, full(s.Results),
	})
}

// Found writes a line with the finding.
func (j *VerifyJSON) Found(f verify.Finding) {
	event := "mismatch"
	switch {
	case f.Kind == verify.KindStranger:
		event = "stranger"
	case f.Unread:
		event = "unread"
	}
	tenantID, about := idsOf(f.Key, f.Host)
	f.TenantID = cmp.Or(f.TenantID, tenantID)
	j.write(struct {
		Head
		verify.Finding
		ids
	}{NewHead(event, false, j.now()), f, about})
}

// Summary writes the last line. It returns the first error met while writing any line.
func (j *VerifyJSON) Summary(s verify.Summary) error {
	wrong := len(s.Findings) - len(s.Strangers)
	simulated := slices.ContainsFunc(s.Subjects, func(sub verify.Subject) bool { return sub.Manifest.Simulated })
	j.write(struct {
		Head
		OK              bool                `json:"ok"`
		Archive         string              `json:"archive"`
		Manifests       int                 `json:"manifests"`
		Bytes           int64               `json:"bytes"`
		Findings        int                 `json:"findings"`
		Ledger          bool                `json:"ledger"`
		Tenants         []verify.Tenant     `json:"tenants"`
		Keys            []verify.TrustedKey `json:"keys"`
		KeysCame        bool                `json:"keysFromArchive"`
		Others          int                 `json:"otherObjects"`
		Remarks         []string            `json:"remarks"`
		DurationSeconds float64             `json:"durationSeconds"`
		Verdict         verify.Overall      `json:"verdict"`
		Headline        string              `json:"headline"`
		Problems        []verify.Problem    `json:"problems"`
		Incomplete      []verify.Gap        `json:"incomplete"`
		Strangers       int                 `json:"strangers"`
		Present         []string            `json:"tenantsPresent"`
	}{
		NewHead("verified", simulated, j.now()), wrong == 0 && s.Verdict() != verify.Empty, s.Where, len(s.Subjects),
		s.Bytes, wrong, s.Ledger, full(s.Tenants), full(s.Keys), s.KeysCame, s.Others, full(s.Remarks),
		s.EndedAt.Sub(s.StartedAt).Seconds(), s.Verdict(), s.Headline(), full(s.Problems), full(s.Gaps),
		len(s.Strangers), full(s.Present),
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// full returns the list, and an empty one instead of nil: in JSON a list is never null.
func full[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

var _ verify.Reporter = (*VerifyJSON)(nil)
