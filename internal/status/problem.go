package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/tenant"
)

const (
	// failingFor is how long sweeps may fail before a person is told: Defender itself has bad minutes.
	failingFor = 5 * time.Minute

	// concludeAge is how long a decided action may wait for its manifest. It is tried again once a minute.
	concludeAge = 10 * time.Minute

	// expiryNear is how long before it expires a credential needs a person. packhorse doctor warns earlier.
	expiryNear = 7 * 24 * time.Hour
)

// Problem is something that lasts until a person mends it.
type Problem struct {
	What     string // one sentence; free of links and tokens, but otherwise as others wrote it
	Advice   string
	Actions  int    // how many actions it concerns; 0 if it concerns the tenant
	ActionID string // one of them
}

// Advice of the causes of a postponement. docs/operations.md explains them.
var adviceOf = map[investigation.Cause]string{
	investigation.CauseNetwork:    "packhorse doctor finds out whether name, proxy or certificate is in the way",
	investigation.CauseCredential: "renew the app's credential; packhorse doctor says what Entra ID thinks of it",
	investigation.CauseConsent:    "an administrator of the tenant consents to the app: packhorse tenant consent TENANT_ID prints the link",
	investigation.CauseForbidden:  "grant the app registration its permissions; packhorse doctor names the missing ones",
	investigation.CauseLinkHost:   "if the host is Microsoft's, add it to DEFENDER_LINK_HOSTS (parameter DefenderLinkHosts)",
	investigation.CauseCounter:    "mend the budget table or this machine's clock; packhorse doctor says which",
	investigation.CauseArchive:    "let Packhorse write to the evidence bucket and use its key; packhorse doctor says what is refused",
}

// adviceElse is the advice for causes that are not in adviceOf, such as those of later releases.
const adviceElse = "act on the message; packhorse doctor checks everything else"

// problems lists what a person must mend, the tenant's own problems first.
func problems(f Facts, now time.Time) []Problem {
	found := append(sweepProblems(f, now), credentialProblems(f.Credential, now)...)
	if f.Unread != nil {
		found = append(found, Problem{What: f.Unread.Error(), Advice: "packhorse doctor checks the ledger and the budget"})
	}
	found = append(found, postponements(f.Open)...)
	if f.Bad != nil {
		lines := strings.Split(f.Bad.Error(), "\n")
		found = append(found, Problem{Actions: len(lines), What: fmt.Sprintf("%s malformed, the first: %s",
			count(len(lines), "record is", "records are"), lines[0]),
			Advice: "restore the items from a backup; docs/ledger.md says what a record may hold"})
	}
	return append(append(found, strangers(f.Open)...), stuck(f.Open, now)...)
}

func sweepProblems(f Facts, now time.Time) []Problem {
	h := f.Health
	switch {
	case f.Suspended: // nothing is swept, on purpose
		return nil
	case h.TriedAt.IsZero() && f.Unread != nil: // it may be what could not be read
		return nil
	case h.TriedAt.IsZero():
		return []Problem{{What: "no sweep is on record", Advice: start}}
	case now.Sub(h.TriedAt) > tenant.SweepAge(f.Among):
		return []Problem{{What: "nothing has looked for packages since " + stamp(h.TriedAt), Advice: start}}
	case !h.FailingSince.IsZero() && now.Sub(h.FailingSince) >= failingFor:
		return []Problem{{What: "every sweep has failed since " + stamp(h.FailingSince) + ": " + h.Message,
			Advice: "packhorse doctor says what is wrong"}}
	default:
		return nil
	}
}

func credentialProblems(c Credential, now time.Time) []Problem {
	if c.Expires.IsZero() || c.Expires.Sub(now) > expiryNear {
		return nil
	}
	what, advice := "client secret", `make a new secret and store it: docs/credentials.md, "Client secret"`
	if c.Kind == tenant.Certificate {
		what = "certificate with thumbprint " + c.Thumbprint
		advice = `make a new certificate: docs/credentials.md, "Replace a certificate without a gap"`
	}
	when := "expires on "
	if !c.Expires.After(now) {
		when = "expired on "
	}
	return []Problem{{What: "the " + what + " " + when + c.Expires.UTC().Format(time.DateOnly), Advice: advice}}
}

const start = "start packhorse run; on AWS, check that the schedule is enabled and what the poll function logs"

// postponements groups the packages that a lasting cause holds up. CauseOther is one only if it happened
// repeatedly.
func postponements(open []investigation.Record) []Problem {
	of := map[investigation.Cause][]investigation.Record{}
	for _, rec := range open {
		if rec.State == investigation.StateReady && rec.Cause.Blocks() &&
			(rec.Cause != investigation.CauseOther || rec.Attempts > 1) {
			of[rec.Cause] = append(of[rec.Cause], rec)
		}
	}
	var found []Problem
	for cause, records := range of {
		found = append(found, Problem{
			Actions: len(records), ActionID: records[0].ActionID,
			What: fmt.Sprintf("%s postponed (%s): %s", count(len(records), "package is", "packages are"), cause,
				records[0].Message),
			Advice: cmp.Or(adviceOf[cause], adviceElse),
		})
	}
	slices.SortFunc(found, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(b.Actions, a.Actions), cmp.Compare(a.What, b.What))
	})
	return found
}

func strangers(open []investigation.Record) []Problem {
	objects, records := 0, []investigation.Record{}
	for _, rec := range open {
		if rec.Strangers != "" {
			objects += rec.Strangers.Count()
			records = append(records, rec)
		}
	}
	if len(records) == 0 {
		return nil
	}
	var key string
	for _, stranger := range records[0].Strangers.List() {
		key = cmp.Or(key, stranger.Key)
	}
	return []Problem{{
		Actions: len(records), ActionID: records[0].ActionID,
		What: fmt.Sprintf("somebody else stored %s in the places of packages, the first: %s",
			count(objects, "object", "objects"), key),
		Advice: "find out who can write to the bucket; packhorse verify lists the objects",
	}}
}

// stuck finds decided actions that are not concluded.
func stuck(open []investigation.Record, now time.Time) []Problem {
	var records []investigation.Record
	for _, rec := range open {
		if rec.State.Decided() && now.Sub(rec.DueAt) > concludeAge {
			records = append(records, rec)
		}
	}
	if len(records) == 0 {
		return nil
	}
	return []Problem{{
		Actions: len(records), ActionID: records[0].ActionID,
		What: fmt.Sprintf("%s without a signed record for more than %d minutes",
			count(len(records), "outcome has been", "outcomes have been"), int(concludeAge.Minutes())),
		Advice: "packhorse doctor checks the signing key and the bucket; the log says what fails",
	}}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprint(n) + " " + many
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
