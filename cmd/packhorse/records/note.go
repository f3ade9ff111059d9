package records

import (
	"cmp"
	"fmt"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/investigation"
)

// offlineAfter is how long Defender may wait for a host before Packhorse says that the host seems offline. A
// host that is on answers within minutes.
const offlineAfter = time.Hour

// StateWord is the record's state in one word: archived, the reason why there is no package, or what it waits
// for.
func StateWord(rec investigation.Record) string {
	if rec.Reason != "" {
		return string(rec.Reason)
	}
	return cmp.Or(outcome(rec), string(rec.State))
}

// Note says in words what is remarkable about a record: why there is no package, or why not yet, and whether
// somebody else stored something in its place. It is empty if all is well, and safe for a terminal.
func Note(rec investigation.Record, now time.Time) string {
	note := noteOf(rec, now)
	if n := rec.Strangers.Count(); n > 0 {
		strangers := "a stranger lies in its place"
		if n > 1 {
			strangers = fmt.Sprintf("%d strangers lie in its places", n)
		}
		if note != "" {
			strangers += "; " + note
		}
		note = strangers
	}
	return console.CleanLine(note)
}

func noteOf(rec investigation.Record, now time.Time) string {
	switch rec.State {
	case investigation.StateWaiting:
		return waiting(rec, now)
	case investigation.StateReady:
		return ready(rec, now)
	case investigation.StateFetching:
		return fmt.Sprintf("attempt %d is under way", rec.Attempts)
	}
	switch {
	case rec.Reason != "":
		return "not collected: " + why(rec)
	case rec.State != investigation.StateDone:
		return "its record is still to be written and announced"
	default:
		return ""
	}
}

func waiting(rec investigation.Record, now time.Time) string {
	if age := now.Sub(rec.CreatedAt); rec.Status == investigation.StatusPending && age > offlineAfter {
		return "the host seems offline: Defender has waited for it for " + Age(age)
	}
	if rec.Status == investigation.StatusInProgress {
		return "the host is collecting"
	}
	return "Defender waits for the host"
}

func ready(rec investigation.Record, now time.Time) string {
	switch {
	case rec.Message == "":
		return "queued"
	case rec.DueAt.After(now):
		return fmt.Sprintf("postponed until %s: %s", rec.DueAt.UTC().Format(console.Minute), rec.Message)
	default:
		return "due again: " + rec.Message
	}
}

// why explains the reason why there is no package.
func why(rec investigation.Record) string {
	switch rec.Reason {
	case investigation.ReasonFailed:
		return "the collection failed on the host"
	case investigation.ReasonTimeOut:
		return "the host did not answer in time"
	case investigation.ReasonCancelled:
		return "the action was canceled in Defender"
	case investigation.ReasonExpired:
		return cmp.Or(rec.Message, "the package could not be obtained in time")
	case investigation.ReasonInvalid:
		return cmp.Or(rec.Message, "the download is not a package")
	default:
		return cmp.Or(rec.Message, string(rec.Reason))
	}
}

// Age formats a duration in its largest unit, such as 5 h.
func Age(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 2*day:
		return fmt.Sprintf("%d h", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days", int(d/day))
	}
}
