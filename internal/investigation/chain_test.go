package investigation_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"packhorse/internal/investigation"
)

// scribe makes manifests that state only their place in the chain.
type scribe struct{ fails error }

func (scribe) Bucket() string { return "evidence" }

func (s scribe) Outcome(r investigation.Record, head investigation.Head) ([]byte, error) {
	return fmt.Appendf(nil, "outcome %s after %d %s %s", r.ActionID, head.Sequence, head.Digest,
		r.QuarantineSeal.Digest), s.fails
}

func (s scribe) Quarantined(r investigation.Record, head investigation.Head) ([]byte, error) {
	return fmt.Appendf(nil, "quarantined %s after %d %s", r.ActionID, head.Sequence, head.Digest), s.fails
}

func sealed(t *testing.T, r investigation.Record) investigation.Record {
	t.Helper()
	r, _, err := r.Sealed(investigation.Head{}, scribe{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func TestSealed(t *testing.T) {
	head := investigation.Head{Sequence: 41, Digest: "previous"}
	for _, state := range investigation.States() {
		r := in(t, state)
		got, after, err := r.Sealed(head, scribe{})
		switch state {
		case investigation.StateArchived, investigation.StateNotCollected:
			manifest := "outcome " + action + " after 41 previous "
			want := r
			want.Seal = investigation.Seal{Sequence: 42, Digest: digestOf(manifest), Bucket: "evidence", Manifest: manifest}
			if state == investigation.StateNotCollected {
				want.ManifestKey, _ = investigation.NotCollectedKeyOf(r.Action)
			}
			if err != nil || got != want || after != (investigation.Head{Sequence: 42, Digest: digestOf(manifest)}) {
				t.Errorf("%s: got\n%+v, %+v, %v; want\n%+v", state, got, after, err, want)
			}
			again, same, err := got.Sealed(after, scribe{fails: errors.New("it was asked again")})
			if err != nil || again != got || same != after {
				t.Errorf("%s, again: got %+v, %+v, %v", state, again, same, err)
			}
		case investigation.StateDone: // sealed before it was announced, or written before there were seals
			for _, r.Seal = range []investigation.Seal{r.Seal, {}} {
				got, after, err := r.Sealed(head, scribe{})
				if err != nil || got != r || after != head {
					t.Errorf("%s: got %+v, %+v, %v; want no change", state, got, after, err)
				}
			}
		default:
			if !errors.Is(err, investigation.ErrIllegalChange) || got != (investigation.Record{}) {
				t.Errorf("%s: got %+v, %v; want ErrIllegalChange", state, got, err)
			}
		}
	}
}

// A quarantined object has its own manifest. It comes before the outcome's manifest, which names it.
func TestSealedWithQuarantine(t *testing.T) {
	r := in(t, investigation.StateFetching)
	r, err := investigation.Close("ada", investigation.Closing{
		At: t0, Reason: investigation.ReasonInvalid, Quarantine: receipt(),
	}).Apply(r)
	if err != nil {
		t.Fatal(err)
	}
	got, head, err := r.Sealed(investigation.Head{}, scribe{})
	first := "quarantined " + action + " after 0 "
	second := fmt.Sprintf("outcome %s after 1 %s %s", action, digestOf(first), digestOf(first))
	if err != nil || got.QuarantineSeal.Manifest != first || got.QuarantineSeal.Sequence != 1 ||
		got.Seal.Manifest != second || got.Seal.Sequence != 2 ||
		head != (investigation.Head{Sequence: 2, Digest: digestOf(second)}) {
		t.Errorf("got %+v, %+v, %v", got, head, err)
	}
	done, err := investigation.Announce(investigation.Conclusion{At: t0}).Apply(got)
	if err != nil || done.Seal.Manifest != "" || done.QuarantineSeal.Manifest != "" ||
		done.QuarantineSeal.Digest != digestOf(first) {
		t.Errorf("announced: got %+v, %v", done, err)
	}
}

func TestSealerFails(t *testing.T) {
	outage := errors.New("no key")
	got, head, err := in(t, investigation.StateArchived).Sealed(investigation.Head{}, scribe{fails: outage})
	if !errors.Is(err, outage) || got != (investigation.Record{}) || head != (investigation.Head{}) {
		t.Errorf("got %+v, %+v, %v", got, head, err)
	}
}
