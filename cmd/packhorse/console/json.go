package console

import (
	"io"
	"sync"
	"time"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// JSON writes one object per line. Its "event" is waiting, ready, fetching, downloading, postponed,
// archived or notCollected; the last line is the summary. The archived and notCollected lines have the
// same fields as the events on the bus. If the tenant is simulated, every line has "simulated": true.
type JSON struct {
	now func() time.Time

	mu        sync.Mutex // guards the fields below
	out       io.Writer
	failed    error // the first write that failed
	simulated bool
}

// NewJSON returns a reporter that writes to out. [JSON.Summary] returns the first write error.
func NewJSON(out io.Writer, now func() time.Time) *JSON {
	return &JSON{now: now, out: out}
}

// actionLine holds the fields of every line about an action.
type actionLine struct {
	Event string `json:"event"`
	mark
	Time            time.Time `json:"time"`
	TenantID        string    `json:"tenantId"`
	ActionID        string    `json:"actionId"`
	MachineID       string    `json:"machineId"`
	ComputerDNSName string    `json:"computerDnsName"`
	Requestor       string    `json:"requestor"`
	Attempt         int       `json:"attempt,omitempty"`
	DueAt           time.Time `json:"dueAt,omitzero"`
	Message         string    `json:"message,omitempty"`
}

// mark distinguishes the lines of a simulation from those of a real tenant.
type mark struct {
	Simulated bool `json:"simulated,omitempty"`
}

func (j *JSON) mark() mark {
	j.mu.Lock()
	defer j.mu.Unlock()
	return mark{j.simulated}
}

// Began records whether to mark every line as simulated.
func (j *JSON) Began(simulated bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.simulated = simulated
}

func (j *JSON) line(event string, rec investigation.Record) actionLine {
	return actionLine{
		Event: event, mark: j.mark(), Time: j.now().UTC(), TenantID: rec.TenantID, ActionID: rec.ActionID,
		MachineID: rec.MachineID, ComputerDNSName: rec.ComputerDNSName, Requestor: rec.Requestor,
	}
}

func (j *JSON) write(line any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = WriteJSON(j.out, line)
	}
}

// Observed writes a line whose event is the action's state. It skips actions that are already decided:
// Settled reports those.
func (j *JSON) Observed(rec investigation.Record) {
	if !rec.State.Settled() {
		j.write(j.line(string(rec.State), rec))
	}
}

// Fetching writes a line.
func (j *JSON) Fetching(rec investigation.Record) {
	line := j.line("fetching", rec)
	line.Attempt = rec.Attempts
	j.write(line)
}

// Download writes a line and returns the body unchanged.
func (j *JSON) Download(actionID string, size int64, body io.ReadCloser) io.ReadCloser {
	j.write(struct {
		Event string `json:"event"`
		mark
		Time     time.Time `json:"time"`
		ActionID string    `json:"actionId"`
		Size     int64     `json:"size"` // in bytes; -1 if not declared
	}{"downloading", j.mark(), j.now().UTC(), actionID, size})
	return body
}

// Settled writes a line.
func (j *JSON) Settled(rec investigation.Record) {
	if rec.Reason != "" {
		j.write(struct {
			Event string `json:"event"`
			mark
			event.NotCollected
		}{"notCollected", j.mark(), event.NewNotCollected(rec)})
		return
	}
	j.write(struct {
		Event string `json:"event"`
		mark
		event.Archived
	}{"archived", j.mark(), event.NewArchived(rec)})
}

// Postponed writes a line.
func (j *JSON) Postponed(rec investigation.Record, _ error) {
	line := j.line("postponed", rec)
	line.DueAt, line.Message = rec.DueAt, rec.Message
	j.write(line)
}

// Budget writes nothing: programs that read the lines do not need a countdown.
func (j *JSON) Budget([]time.Time) {}

// Summary writes the last line. It returns the first error from writing any line.
func (j *JSON) Summary(s Summary) error {
	j.write(struct {
		Event string `json:"event"`
		mark
		DurationSeconds float64 `json:"durationSeconds"`
		counts
		Evidence Evidence   `json:"evidence"`
		Judge    *Judgement `json:"judge,omitempty"`
	}{"summary", j.mark(), s.EndedAt.Sub(s.StartedAt).Seconds(), s.counts(), s.Evidence, s.Judge})
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}
