package overview

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/find"
	"packhorse/internal/investigation"
	"packhorse/internal/status"
)

// sentence says in one line how things stand.
func sentence(t status.Tenant, now time.Time) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	due := t.Due(now)
	if last, ok := t.LastDue(now); ok && !last.StoredAt.IsZero() {
		if due == 1 {
			add("1 queued, stored in about %s", in(last.StoredAt, now))
		} else {
			add("%d queued, the last in about %s", due, in(last.StoredAt, now))
		}
	} else if ok {
		add("%d queued", due)
	}
	if n := len(t.Queue) - due; n > 0 {
		add("%d postponed", n)
	}
	if n := len(t.Fetching); n > 0 {
		add("%d being fetched", n)
	}
	if n := len(t.Young) + len(t.Offline); n > 0 {
		add("%d waiting for their hosts", n)
		if n == 1 {
			parts[len(parts)-1] = "1 waiting for its host"
		}
	}
	if n := len(t.Concluding); n > 0 {
		add("%d being recorded", n)
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}

// in says how long it is until t, rounded up.
func in(t, now time.Time) string {
	left := max(0, t.Sub(now))
	switch {
	case left < 2*time.Minute:
		return console.Span(left + time.Second - 1)
	default:
		return console.Span(left + time.Minute - 1)
	}
}

func ago(t, now time.Time) string { return console.Span(max(0, now.Sub(t))) + " ago" }

// sweeps says how well the sweeps work.
func sweeps(t status.Tenant, now time.Time) string {
	h := t.Health
	last := "the last one " + ago(h.SweptAt, now)
	if h.SweptAt.IsZero() {
		last = "none succeeded yet"
	}
	switch {
	case h.TriedAt.IsZero():
		return "none on record"
	case h.FailingSince.IsZero():
		return last
	case h.SweptAt.IsZero():
		return fmt.Sprintf("failing for %s; %s", console.Span(now.Sub(h.FailingSince)), last)
	default:
		return fmt.Sprintf("failing for %s; the last successful one %s", console.Span(now.Sub(h.FailingSince)),
			ago(h.SweptAt, now))
	}
}

// waits says for how many hosts there is nothing yet.
func waits(t status.Tenant, now time.Time) string {
	if len(t.Young)+len(t.Offline) == 0 {
		return "none"
	}
	if len(t.Offline) == 0 {
		return fmt.Sprintf("%d, all requested within half an hour", len(t.Young))
	}
	oldest := t.Offline[0].CreatedAt
	for _, rec := range t.Offline {
		if rec.CreatedAt.Before(oldest) {
			oldest = rec.CreatedAt
		}
	}
	return fmt.Sprintf("%d new; %d over half an hour old (hosts offline?), the oldest %s", len(t.Young), len(t.Offline),
		console.Span(now.Sub(oldest)))
}

func queued(t status.Tenant, now time.Time) string {
	due := t.Due(now)
	text := fmt.Sprintf("%d now, %d later", due, len(t.Queue)-due)
	if !t.OldestReady.IsZero() {
		text += "; the oldest has been ready for " + console.Span(max(0, now.Sub(t.OldestReady)))
	}
	return text
}

func budget(t status.Tenant, now time.Time) string {
	switch all := len(t.Budget.FreeAt); {
	case all == 0:
		return "not known"
	case t.Cooling(now):
		return "Defender asked for a pause, which ends in " + in(t.Budget.CooldownUntil, now)
	case t.Budget.Free(now) > 0:
		return fmt.Sprintf("%d of %d calls free", t.Budget.Free(now), all)
	default:
		return fmt.Sprintf("none of %d calls free, the next in %s", all, in(t.Budget.Next(now), now))
	}
}

// recent says what was done lately.
func recent(t status.Tenant) string {
	return fmt.Sprintf("%d archived, %d not collected", t.Counts.Archived, t.Counts.NotCollected)
}

// caseOf is the case of an action, or a dash.
func caseOf(rec investigation.Record) string { return console.Clean(cmp.Or(rec.CaseID, "–")) }

// shortIDs returns short action ids, which other commands take, in the order of the records.
func shortIDs(queue []status.Queued) []string {
	records := make([]investigation.Record, len(queue))
	for i, q := range queue {
		records[i] = q.Record
	}
	return find.ShortIDs(records)
}

// Footer is the last line of a watched status.
func Footer(name string, now, readAt time.Time) string {
	line := console.CleanLine(name) + ", " + now.UTC().Format("15:04:05Z")
	if age := now.Sub(readAt); age >= 5*time.Second {
		line += ", read " + ago(readAt, now)
	}
	return line + " (q quits)"
}

// Failure is the last line of a watched status that could not be read again.
func Failure(err error, readAt time.Time) string {
	return "as of " + readAt.UTC().Format("15:04:05Z") + ", because it cannot be read: " + console.CleanLine(err.Error())
}

// printMax is how much of a thumbprint is shown: enough to find the certificate among an app's.
const printMax = 8

// credential says how the app proves who it is, and until when.
func credential(c status.Credential, now time.Time) string {
	name := string(c.Kind)
	if len(c.Thumbprint) > printMax {
		name += " " + console.Clean(c.Thumbprint[:printMax]) + "…"
	}
	switch left := c.Expires.Sub(now); {
	case c.Expires.IsZero():
		return name + ", never expires"
	case left <= 0:
		return name + ", expired on " + c.Expires.UTC().Format(time.DateOnly)
	case left < 48*time.Hour:
		return name + ", expires in " + in(c.Expires, now)
	default:
		return fmt.Sprintf("%s, expires in %d days", name, int(left.Hours()/24))
	}
}
