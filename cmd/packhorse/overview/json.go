package overview

import (
	"io"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
	"packhorse/internal/status"
)

// line is a status as JSON. docs/lines/status.schema.json describes it.
type line struct {
	console.Head
	Tenants []tenantLine `json:"tenants"`
}

type tenantLine struct {
	TenantID  string       `json:"tenantId"`
	Name      string       `json:"name,omitempty"`
	Suspended bool         `json:"suspended,omitempty"`
	Sweeps    sweepsLine   `json:"sweeps"`
	Waiting   waitingLine  `json:"waiting"`
	Queue     []queuedLine `json:"queue"`
	Fetching  []fetchLine  `json:"fetching"`

	Concluding    int       `json:"concluding"`
	OldestReadyAt time.Time `json:"oldestReadyAt,omitzero"`
	Since         time.Time `json:"since"`
	Archived      int       `json:"archived"`
	NotCollected  int       `json:"notCollected"`

	Budget     *budgetLine     `json:"budget"`
	Credential *credentialLine `json:"credential,omitempty"`
	Problems   []problemLine   `json:"problems"`
}

type sweepsLine struct {
	SucceededAt  time.Time `json:"succeededAt,omitzero"`
	TriedAt      time.Time `json:"triedAt,omitzero"`
	FailingSince time.Time `json:"failingSince,omitzero"`
	Message      string    `json:"message,omitempty"`
}

type waitingLine struct {
	Young   []actionLine `json:"young"`
	Offline []actionLine `json:"offline"`
}

type actionLine struct {
	ActionID        string    `json:"actionId"`
	MachineID       string    `json:"machineId"`
	ComputerDNSName string    `json:"computerDnsName"`
	Requestor       string    `json:"requestor"`
	CaseID          string    `json:"caseId"`
	CreatedAt       time.Time `json:"createdAt"`
}

type queuedLine struct {
	actionLine
	Position int       `json:"position"`
	DueAt    time.Time `json:"dueAt"`
	LinkAt   time.Time `json:"linkAt,omitzero"`
	StoredAt time.Time `json:"storedAt,omitzero"`
	Attempts int       `json:"attempts"`
	Cause    string    `json:"cause,omitempty"`
	Message  string    `json:"message,omitempty"`
}

type fetchLine struct {
	actionLine
	Owner      string    `json:"owner"`
	Since      time.Time `json:"since,omitzero"`
	LeaseUntil time.Time `json:"leaseUntil"`
	Attempts   int       `json:"attempts"`
}

type budgetLine struct {
	Calls         int       `json:"calls"`
	Free          int       `json:"free"`
	NextAt        time.Time `json:"nextAt"`
	CooldownUntil time.Time `json:"cooldownUntil,omitzero"`
}

type credentialLine struct {
	Kind       string    `json:"kind"`
	Thumbprint string    `json:"thumbprint,omitempty"`
	ExpiresAt  time.Time `json:"expiresAt,omitzero"`
}

type problemLine struct {
	What     string `json:"what"`
	Advice   string `json:"advice"`
	Actions  int    `json:"actions"`
	ActionID string `json:"actionId,omitempty"`
}

// JSON writes the status as one object; its "event" is "status".
func JSON(out io.Writer, tenants []status.Tenant, simulated bool, now time.Time) error {
	l := line{Head: console.NewHead("status", simulated, now), Tenants: []tenantLine{}}
	for _, t := range tenants {
		l.Tenants = append(l.Tenants, tenantOf(t, now))
	}
	return console.WriteJSON(out, l)
}

func tenantOf(t status.Tenant, now time.Time) tenantLine {
	l := tenantLine{
		TenantID: t.TenantID, Name: t.Name, Suspended: t.Suspended,
		Sweeps:  sweepsLine{t.Health.SweptAt, t.Health.TriedAt, t.Health.FailingSince, t.Health.Message},
		Waiting: waitingLine{Young: actions(t.Young), Offline: actions(t.Offline)},
		Queue:   []queuedLine{}, Fetching: []fetchLine{}, Problems: []problemLine{},
		Concluding: len(t.Concluding), OldestReadyAt: t.OldestReady.UTC(), Since: t.Counts.Since.UTC(),
		Archived: t.Counts.Archived, NotCollected: t.Counts.NotCollected,
	}
	for _, q := range t.Queue {
		l.Queue = append(l.Queue, queuedLine{
			actionLine: actionOf(q.Record), Position: q.Position, DueAt: q.DueAt, LinkAt: q.LinkAt.UTC(),
			StoredAt: q.StoredAt.UTC(), Attempts: q.Attempts, Cause: string(q.Cause), Message: q.Message,
		})
	}
	for _, rec := range t.Fetching {
		l.Fetching = append(l.Fetching, fetchLine{actionOf(rec), rec.Owner, rec.ClaimedAt, rec.LeaseUntil, rec.Attempts})
	}
	if calls := len(t.Budget.FreeAt); calls > 0 {
		l.Budget = &budgetLine{Calls: calls, Free: t.Budget.Free(now), NextAt: t.Budget.Next(now).UTC()}
		if t.Cooling(now) {
			l.Budget.CooldownUntil = t.Budget.CooldownUntil.UTC()
		}
	}
	if c := t.Credential; c.Kind != "" {
		l.Credential = &credentialLine{string(c.Kind), c.Thumbprint, c.Expires.UTC()}
	}
	for _, p := range t.Problems {
		l.Problems = append(l.Problems, problemLine(p))
	}
	return l
}

func actions(records []investigation.Record) []actionLine {
	lines := make([]actionLine, len(records))
	for i, rec := range records {
		lines[i] = actionOf(rec)
	}
	return lines
}

func actionOf(rec investigation.Record) actionLine {
	return actionLine{rec.ActionID, rec.MachineID, rec.ComputerDNSName, rec.Requestor, rec.CaseID, rec.CreatedAt}
}
