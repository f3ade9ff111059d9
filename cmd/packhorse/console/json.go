package console

import (
	"io"
	"slices"
	"sync"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

// LinesVersion is the version of the contract of JSON lines, docs/lines. Within a version, fields and
// events may be added but never change or disappear.
const LinesVersion = "1"

// Head begins every JSON line.
type Head struct {
	opening
	Version string `json:"version"`
}

// opening is a Head without the version, for lines that have it anyway.
type opening struct {
	Event string `json:"event"`
	mark
	Time time.Time `json:"time"`
}

// mark flags the lines of a simulation.
type mark struct {
	Simulated bool `json:"simulated,omitempty"`
}

// NewHead returns the beginning of a line.
func NewHead(event string, simulated bool, now time.Time) Head {
	return Head{opening{event, mark{simulated}, now.UTC()}, LinesVersion}
}

// JSON writes one JSON object per line, as docs/lines describes. Its "event" is sweep, waiting, ready,
// fetching, downloading, postponed, archived, notCollected, budget or, in the last line, summary. The
// archived and notCollected lines have the same fields as the events on the bus, and more. In a simulation
// every line has "simulated": true.
type JSON struct {
	now func() time.Time

	mu        sync.Mutex // guards what follows
	out       io.Writer
	failed    error // the first failed write; nothing is written after it
	simulated bool
	told      map[string]budgetLine // the last line about each tenant's budget
}

// NewJSON returns a reporter that writes to out. [JSON.Summary] returns the first write error.
func NewJSON(out io.Writer, now func() time.Time) *JSON {
	return &JSON{now: now, out: out, told: map[string]budgetLine{}}
}

// actionLine has the fields common to all lines about an action.
type actionLine struct {
	Head
	TenantID        string `json:"tenantId"`
	ActionID        string `json:"actionId"`
	MachineID       string `json:"machineId"`
	ComputerDNSName string `json:"computerDnsName"`
	Requestor       string `json:"requestor"`
}

// Tenants writes nothing: each line says whose it is.
func (j *JSON) Tenants([]tenant.Served) {}

// Began sets whether lines are marked as simulated, which is the same for all tenants.
func (j *JSON) Began(_ string, simulated bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.simulated = simulated
}

func (j *JSON) head(event string) Head {
	j.mu.Lock()
	defer j.mu.Unlock()
	return NewHead(event, j.simulated, j.now())
}

func (j *JSON) line(event string, a investigation.Action) actionLine {
	return actionLine{
		Head: j.head(event), TenantID: a.TenantID, ActionID: a.ActionID, MachineID: a.MachineID,
		ComputerDNSName: a.ComputerDNSName, Requestor: a.Requestor,
	}
}

func (j *JSON) write(line any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writeLocked(line)
}

func (j *JSON) writeLocked(line any) {
	if j.failed == nil {
		j.failed = WriteJSON(j.out, line)
	}
}

// Observed writes a line whose event is the action's state. It skips actions whose outcome is already
// decided, because Decided reports those.
func (j *JSON) Observed(rec investigation.Record) {
	if !rec.State.Decided() {
		j.write(j.line(string(rec.State), rec.Action))
	}
}

// Fetching writes a line with the number of the attempt.
func (j *JSON) Fetching(rec investigation.Record) {
	j.write(struct {
		actionLine
		Attempt int `json:"attempt"`
	}{j.line("fetching", rec.Action), rec.Attempts})
}

// Download writes a line and returns body unchanged.
func (j *JSON) Download(a investigation.Action, size int64, body io.ReadCloser) io.ReadCloser {
	j.write(struct {
		actionLine
		Size int64 `json:"size"` // bytes; -1 if the server did not declare it
	}{j.line("downloading", a), size})
	return body
}

// Decided writes a line with the outcome.
func (j *JSON) Decided(rec investigation.Record) {
	if rec.Reason != "" {
		j.write(struct {
			opening
			event.NotCollected
		}{j.head("notCollected").opening, event.NewNotCollected(rec)})
		return
	}
	j.write(struct {
		opening
		event.Archived
	}{j.head("archived").opening, event.NewArchived(rec)})
}

// Postponed writes a line with the time of the next attempt and the reason for the delay.
func (j *JSON) Postponed(rec investigation.Record, err error) {
	j.write(struct {
		actionLine
		Attempt int                 `json:"attempt"`
		DueAt   time.Time           `json:"dueAt"`
		Cause   investigation.Cause `json:"cause"`
		Message string              `json:"message"`
	}{j.line("postponed", rec.Action), rec.Attempts, rec.DueAt, investigation.CauseOf(err), rec.Message})
}

// Swept writes a line with the end of a sweep.
func (j *JSON) Swept(tenantID string, err error) {
	message := ""
	if err != nil {
		message = investigation.Redact(err.Error())
	}
	j.write(struct {
		Head
		TenantID string `json:"tenantId"`
		OK       bool   `json:"ok"`
		Message  string `json:"message"` // why it failed
	}{j.head("sweep"), tenantID, err == nil, message})
}

// budgetLine says how much of the budget is free.
type budgetLine struct {
	Head
	TenantID string      `json:"tenantId"`
	Slots    int         `json:"slots"`
	Free     int         `json:"free"`
	FreeAt   []time.Time `json:"freeAt"` // of the slots that are not free, ascending
}

// budgetEvery bounds how often lines about the budget are written.
const budgetEvery = time.Second

// Budget writes a line if a tenant's budget has changed, at most once a second. A change that comes sooner is
// written with the next call.
func (j *JSON) Budget(tenantID string, freeAt []time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.now()
	taken := []time.Time{}
	for _, at := range freeAt {
		if at.After(now) {
			taken = append(taken, at.UTC())
		}
	}
	line := budgetLine{NewHead("budget", j.simulated, now), tenantID, len(freeAt), len(freeAt) - len(taken), taken}
	told := j.told[tenantID]
	same := line.Slots == told.Slots && slices.EqualFunc(taken, told.FreeAt, time.Time.Equal)
	if same || now.Sub(told.Time) < budgetEvery {
		return
	}
	j.told[tenantID] = line
	j.writeLocked(line)
}

// Queue writes nothing: the lines about actions say it.
func (j *JSON) Queue(string, int, time.Time) {}

// Summary writes the last line about a tenant. It returns the first error met while writing any line.
func (j *JSON) Summary(s Summary) error {
	j.write(struct {
		Head
		TenantID        string  `json:"tenantId"`
		DurationSeconds float64 `json:"durationSeconds"`
		counts
		Evidence Evidence   `json:"evidence"`
		Judge    *Judgement `json:"judge,omitempty"`
	}{j.head("summary"), s.TenantID, s.EndedAt.Sub(s.StartedAt).Seconds(), s.counts(), s.Evidence, s.Judge})
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

// Summaries writes the last line about each tenant. It returns the first error met while writing any line.
func (j *JSON) Summaries(all []Summary) error {
	for _, s := range all {
		_ = j.Summary(s) // the first error stays
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}
