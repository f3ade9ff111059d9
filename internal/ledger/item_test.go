package ledger_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// everyRecord returns a record in each state of its life.
func everyRecord(tb testing.TB) []investigation.Record {
	tb.Helper()
	must := func(r investigation.Record, err error) investigation.Record {
		if err != nil {
			tb.Fatal(err)
		}
		return r
	}
	waiting, _ := investigation.Observe(action(1, "Pending"), t0).Apply(investigation.Record{})
	ready, _ := investigation.Observe(action(1, "Succeeded"), t0).Apply(waiting)
	failed, _ := investigation.Observe(action(1, "Failed"), t0).Apply(waiting)
	fetching := must(investigation.Claim("ada", t0, t0.Add(time.Minute)).Apply(ready))
	released := must(investigation.GiveBack("ada", investigation.Release{Message: "throttled"}).Apply(fetching))
	sealed := func(r investigation.Record, err error) investigation.Record {
		tb.Helper()
		next, _, err := must(r, err).Sealed(
			investigation.Head{Sequence: 41, Digest: strings.Repeat("ab", 32)}, &memory.Sealer{})
		return must(next, err)
	}
	archived := sealed(investigation.Archive("ada", investigation.Arrival{At: t0.Add(1), Receipt: receipt(action(1, ""))}).Apply(fetching))
	apart := archived
	apart.ManifestKey = "elsewhere.json"
	bare := receipt(action(1, ""))
	bare.PartSize, bare.Retention = 0, investigation.Retention{}
	plain := sealed(investigation.Archive("ada", investigation.Arrival{At: t0.Add(1), Receipt: bare}).Apply(fetching))
	old := archived // a record from before chains existed
	old.Seal = investigation.Seal{}
	expired := sealed(investigation.Close("ada", investigation.Closing{At: t0,
		Reason: investigation.ReasonExpired, Message: "six links expired"}).Apply(fetching))
	elsewhere := expired
	elsewhere.ManifestKey = "elsewhere.json"
	invalid := sealed(investigation.Close("ada", investigation.Closing{At: t0,
		Reason: investigation.ReasonInvalid, Quarantine: receipt(action(2, ""))}).Apply(fetching))
	closed := sealed(failed, nil)
	return []investigation.Record{
		waiting, ready, failed, fetching, released, archived, apart, plain, old, expired, elsewhere,
		invalid, closed, must(investigation.Announce(investigation.Conclusion{At: t0}).Apply(archived)), must(investigation.Announce(investigation.Conclusion{At: t0}).Apply(closed)),
		must(investigation.Announce(investigation.Conclusion{At: t0}).Apply(expired)), must(investigation.Announce(investigation.Conclusion{At: t0}).Apply(invalid)),
	}
}

func TestRecordsComeBack(t *testing.T) {
	for _, want := range everyRecord(t) {
		got, err := ledger.Decode(ledger.Encode(want, "v"))
		if err != nil || got != want {
			t.Errorf("got\n%+v, %v, want\n%+v", got, err, want)
		}
	}
}

// A default manifest key is omitted; any other is stored.
func TestManifestKeyIsWrittenWhereItIsUnusual(t *testing.T) {
	written := 0
	for _, rec := range everyRecord(t) {
		if _, ok := ledger.Encode(rec, "v")["manifestKey"]; ok {
			written++
		}
	}
	if written != 2 {
		t.Errorf("the key was written %d times, want 2", written)
	}
}

// FuzzDecode replaces or removes one attribute of a valid item. Decoding must return an error that
// wraps ErrStranger, or a record that encodes to the same item.
func FuzzDecode(f *testing.F) {
	records := everyRecord(f)
	for i := range records {
		f.Add(uint8(i), uint8(i*2), uint8(i), "1793696400000")
	}
	f.Add(uint8(3), uint8(7), uint8(1), "-62135596800001")
	f.Add(uint8(0), uint8(2), uint8(1), "2026-11-03T10:00:00.5+02:00")
	f.Add(uint8(5), uint8(20), uint8(4), "key")
	f.Add(uint8(11), uint8(22), uint8(4), "sequence")
	f.Fuzz(func(t *testing.T, which, attribute, kind uint8, value string) {
		it := ledger.Encode(records[int(which)%len(records)], "v")
		names := slices.Sorted(maps.Keys(it))
		name := names[int(attribute)%len(names)]
		switch kind % 6 {
		case 0:
			delete(it, name)
		case 1:
			it[name] = &types.AttributeValueMemberS{Value: value}
		case 2:
			it[name] = &types.AttributeValueMemberN{Value: value}
		case 3:
			it[name] = &types.AttributeValueMemberNULL{Value: true}
		case 4:
			it[name] = &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{
				value: &types.AttributeValueMemberS{Value: value}}}
		case 5:
			it[value] = &types.AttributeValueMemberB{Value: []byte(value)}
		}
		rec, err := ledger.Decode(it)
		if err != nil {
			if !errors.Is(err, ledger.ErrStranger) {
				t.Errorf("the error does not wrap ErrStranger: %v", err)
			}
			return
		}
		again, err := ledger.Decode(ledger.Encode(rec, "v"))
		if err != nil || again != rec {
			t.Errorf("read\n%+v, and read back\n%+v, %v", rec, again, err)
		}
	})
}
