package fetch_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

// sealing is a ledger that answers Seal and records the calls.
type sealing struct {
	fetch.Ledger

	sealed []investigation.ID
	rec    investigation.Record
	fails  error
}

func (l *sealing) Seal(_ context.Context, id investigation.ID, _ investigation.Change, _ investigation.Sealer) (
	investigation.Record, error,
) {
	l.sealed = append(l.sealed, id)
	return l.rec, l.fails
}

// keyless is a custody that cannot make manifests if fails is set.
type keyless struct {
	fetch.Custody

	fails error
}

func (k keyless) Sealer(context.Context, investigation.Collection, investigation.Content) (investigation.Sealer, error) {
	return oursOnly{}, k.fails
}

// oursOnly is a sealer that only knows its bucket.
type oursOnly struct{ investigation.Sealer }

func (oursOnly) Bucket() string { return "ours" }

// A Decided event concludes its action without a claim. Handling it twice is fine. An event about an
// action that is unknown or not decided is refused. Failing to conclude is an error, so that the platform
// counts it.
func TestDecidedEvent(t *testing.T) {
	outage := errors.New("the table does not answer")
	done := investigation.Record{
		State: investigation.StateDone, ManifestKey: "not-collected/x.json",
		Seal: investigation.Seal{Sequence: 7},
	}
	for name, test := range map[string]struct {
		ledger  sealing
		custody keyless
		outcome fetch.Outcome
		want    error
	}{
		"a second time": {ledger: sealing{rec: done}, outcome: fetch.OutcomeConcluded},
		"unknown":       {ledger: sealing{fails: investigation.ErrUnknownAction}, outcome: fetch.OutcomeRefused},
		"still open":    {ledger: sealing{fails: investigation.ErrIllegalChange}, outcome: fetch.OutcomeRefused},
		"elsewhere": {ledger: sealing{rec: investigation.Record{
			State: investigation.StateArchived, Seal: investigation.Seal{Sequence: 7, Bucket: "theirs"},
		}}, outcome: fetch.OutcomeRefused},
		"outage": {ledger: sealing{fails: outage}, want: outage},
		"no key": {custody: keyless{fails: outage}, want: outage},
	} {
		answer, log, err := handle(t, &test.ledger, test.custody, "../../events/fetch-package-settled.json")
		if !errors.Is(err, test.want) || answer.Outcome != test.outcome {
			t.Errorf("%s: got %+v, %v; logged %q", name, answer, err, log)
		}
		want := "5803a2c9-ab28-4599-a3e0-6e9d3d2b1e4c"
		if test.custody.fails == nil && (len(test.ledger.sealed) != 1 || test.ledger.sealed[0].ActionID != want) {
			t.Errorf("%s: sealed %v", name, test.ledger.sealed)
		}
		if test.outcome == fetch.OutcomeConcluded && !strings.Contains(log, "not-collected/x.json") {
			t.Errorf("%s: logged %q", name, log)
		}
	}
}
