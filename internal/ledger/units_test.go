package ledger_test

import (
	"strings"
	"testing"
	"time"

	"packhorse/internal/localcloud/dynamotest"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// meter counts the write units of each change by DynamoDB's rules, from the item before and after
// it, because the stand-in does not charge.
type meter struct {
	t      *testing.T
	client *dynamodb.Client
	table  string
	wire   dynamotest.Wire
	ledger *ledger.Ledger
	before map[string]types.AttributeValue
}

func newMeter(t *testing.T) *meter {
	m := &meter{t: t, client: dynamotest.Client(dynamotest.Direct), table: newTable(t)}
	m.ledger = newLedger(m.table, &m.wire)
	return m
}

// units makes the change, which must be at most one write of the action's item, alone or in a
// transaction, and returns its cost.
func (m *meter) units(id investigation.ID, change func() error) int {
	m.t.Helper()
	headBefore, begunBefore := m.item(tenant+"#chain"), m.item(tenant+"#chain-begun")
	m.wire.Reset()
	if err := change(); err != nil {
		m.t.Fatal(err)
	}
	single, transactions := m.wire.Count("UpdateItem"), m.wire.Count("TransactWriteItems")
	before, after := m.before, m.item(id.String())
	m.before = after
	units := itemUnits(before, after) + indexUnits(before, after)
	switch {
	case single+transactions == 0:
		return 0
	case single == 1 && transactions == 0:
		return units
	case single == 0 && transactions == 1: // each part costs double; the index costs the same
		units += itemUnits(before, after) + 2*itemUnits(headBefore, m.item(tenant+"#chain"))
		if begun := m.item(tenant + "#chain-begun"); begunBefore == nil {
			units += 2 * itemUnits(begunBefore, begun)
		}
		return units
	default:
		m.t.Fatalf("one change is %d writes and %d transactions", single, transactions)
		return 0
	}
}

func (m *meter) item(key string) map[string]types.AttributeValue {
	m.t.Helper()
	out, err := m.client.GetItem(m.t.Context(), &dynamodb.GetItemInput{
		TableName:      aws.String(m.table),
		Key:            map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key}},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return out.Item
}

// itemUnits is one unit per kilobyte of the larger item.
func itemUnits(before, after map[string]types.AttributeValue) int {
	return (max(size(before), size(after)) + 1023) / 1024
}

// indexUnits is one unit for an index entry that appears or disappears, and two for one that moves.
func indexUnits(before, after map[string]types.AttributeValue) int {
	entry := func(it map[string]types.AttributeValue) string {
		lane, inLane := it[ledgertables.Lane].(*types.AttributeValueMemberS)
		due, isDue := it[ledgertables.DueAt].(*types.AttributeValueMemberN)
		if !inLane || !isDue {
			return ""
		}
		return lane.Value + due.Value
	}
	was, is := entry(before), entry(after)
	switch {
	case was == is:
		return 0
	case was == "" || is == "":
		return 1
	default:
		return 2
	}
}

// size is an item's size in bytes, as DynamoDB bills it.
func size(it map[string]types.AttributeValue) int {
	total := 0
	for name, value := range it {
		total += len(name)
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			total += len(v.Value)
		case *types.AttributeValueMemberN:
			total += (len(strings.Trim(v.Value, "-0"))+1)/2 + 1
		case *types.AttributeValueMemberM:
			total += 3 + len(v.Value) + size(v.Value)
		case *types.AttributeValueMemberBOOL:
			total++
		default:
			panic("an attribute of a type that size does not measure")
		}
	}
	return total
}

// budgetUnits is what a getPackageUri call costs in the budget table; dynamocounter's tests count
// it.
const budgetUnits = 2

// ofThree makes manifests of about three kilobytes, the item size that docs/ledger.md assumes.
func ofThree() *memory.Sealer { return &memory.Sealer{Words: strings.Repeat("evidence", 360)} }

type step struct {
	name   string
	change func() error
	want   int
}

// total runs the steps and returns their total cost.
func (m *meter) total(id investigation.ID, steps []step) int {
	m.t.Helper()
	total := 0
	for _, step := range steps {
		got := m.units(id, step.change)
		if got != step.want {
			m.t.Errorf("%s: %d write units, want %d (the item has %d bytes)",
				step.name, got, step.want, size(m.before))
		}
		m.t.Logf("%-28s %2d write units, the item has %d bytes", step.name, got, size(m.before))
		total += got
	}
	return total
}

// begin begins the tenant's chain, which costs extra only once.
func (m *meter) begin() {
	m.t.Helper()
	a := action(99, investigation.StatusFailed)
	if _, err := m.ledger.Change(m.t.Context(), a.ID, investigation.Observe(a, t0)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.ledger.Seal(m.t.Context(), a.ID, investigation.Unchanged(), &memory.Sealer{}); err != nil {
		m.t.Fatal(err)
	}
}

// The numbers in docs/ledger.md, for a package with the names and texts of a real tenant.
func TestWriteUnitsPerPackage(t *testing.T) {
	m := newMeter(t)
	m.begin()
	a := action(1, investigation.StatusPending)
	until := t0.Add(2 * time.Minute)
	const owner = "2026/11/03/[$LATEST]0123456789abcdef"
	observe := func() error {
		_, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, t0))
		return err
	}
	claim := func() error {
		_, err := m.ledger.Change(t.Context(), a.ID, investigation.Claim(owner, t0, until))
		return err
	}
	announce := func() error {
		_, err := m.ledger.Change(t.Context(), a.ID, investigation.Announce(investigation.Conclusion{At: t0.Add(9*time.Second + 323456789)}))
		return err
	}
	total := budgetUnits + m.total(a.ID, []step{
		{"first seen while it waits", observe, 1},
		{"seen again while it waits", observe, 0},
		{"seen to be ready", func() error {
			a.Status = investigation.StatusSucceeded
			return observe()
		}, 2},
		{"seen again when ready", observe, 0},
		{"claim", claim, 3},
		{"the claim again", claim, 0},
		{"archived and sealed", func() error {
			_, err := m.ledger.Seal(t.Context(), a.ID, investigation.Archive(owner, investigation.Arrival{At: t0.Add(9*time.Second + 123456789), Receipt: receipt(a)}), ofThree())
			return err
		}, 2*5 + 2 + 2},
		{"sealed again", func() error {
			_, err := m.ledger.Seal(t.Context(), a.ID, investigation.Unchanged(), ofThree())
			return err
		}, 0},
		{"announced", announce, 5 + 1},
		{"announced again", announce, 0},
	})
	const waiting = 1 // an action that is already done when first seen skips this write
	if total-waiting != 27 {
		t.Errorf("a package costs %d write units, docs/ledger.md says 27", total-waiting)
	}
}

// Actions that are not collected, by Defender's verdict or a fetcher's, and with something in
// quarantine.
func TestWriteUnitsNotCollected(t *testing.T) {
	tests := []struct {
		name  string
		close investigation.Closing
		seal  int // in units
		say   int
		total int // with the budget, as docs/ledger.md says
	}{
		{"Defender failed", investigation.Closing{}, 2*4 + 2, 4 + 1, 17},
		{"links expired", investigation.Closing{Reason: investigation.ReasonExpired}, 2*4 + 2 + 2, 4 + 1, 24},
		{"quarantine", investigation.Closing{Reason: investigation.ReasonInvalid,
			Quarantine: receipt(action(1, ""))}, 2*8 + 2 + 2, 8 + 1, 36},
	}
	for _, tt := range tests {
		m := newMeter(t)
		m.begin()
		a := action(1, investigation.StatusFailed)
		tt.close.At, tt.close.Message = t0, "the archive of the machine is no ZIP, or no link was good"
		end := func() error {
			_, err := m.ledger.Seal(t.Context(), a.ID, investigation.Unchanged(), ofThree())
			return err
		}
		var claims []step
		if tt.close.Reason != "" {
			a.Status = investigation.StatusSucceeded
			claims = []step{{"claim", func() error {
				_, err := m.ledger.Change(t.Context(), a.ID, investigation.Claim("ada", t0, t0.Add(time.Minute)))
				return err
			}, 3}}
			end = func() error {
				_, err := m.ledger.Seal(t.Context(), a.ID, investigation.Close("ada", tt.close), ofThree())
				return err
			}
		}
		steps := []step{{"first seen", func() error {
			_, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, t0))
			return err
		}, 2}}
		steps = append(append(steps, claims...), step{"sealed", end, tt.seal}, step{"announced", func() error {
			_, err := m.ledger.Change(t.Context(), a.ID, investigation.Announce(investigation.Conclusion{At: t0}))
			return err
		}, tt.say})
		total := m.total(a.ID, steps)
		if tt.close.Reason != "" {
			total += budgetUnits
		}
		if total != tt.total {
			t.Errorf("%s: %d write units, want %d", tt.name, total, tt.total)
		}
	}
}

// The chain's first manifest also writes the item that marks the chain as begun.
func TestWriteUnitsOfTheFirstSeal(t *testing.T) {
	m := newMeter(t)
	a := action(1, investigation.StatusFailed)
	m.total(a.ID, []step{
		{"first seen", func() error { _, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, t0)); return err }, 2},
		{"the chain's first seal", func() error {
			_, err := m.ledger.Seal(t.Context(), a.ID, investigation.Unchanged(), ofThree())
			return err
		}, 2*4 + 2 + 2},
	})
}

// A release costs as much as a claim: the item moves in the index.
func TestWriteUnitsOfARelease(t *testing.T) {
	m := newMeter(t)
	a := action(1, investigation.StatusSucceeded)
	claim := func() error {
		_, err := m.ledger.Change(t.Context(), a.ID, investigation.Claim("ada", t0, t0.Add(time.Minute)))
		return err
	}
	m.units(a.ID, func() error { _, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, t0)); return err })
	m.units(a.ID, claim)
	got := m.units(a.ID, func() error {
		_, err := m.ledger.Change(t.Context(), a.ID, investigation.GiveBack("ada", investigation.Release{
			DueAt: t0.Add(time.Second), Charge: investigation.ChargeNothing}))
		return err
	})
	if got != 3 {
		t.Errorf("got %d write units, want 3", got)
	}
}

// A sweep without changes reads the lanes and, on a cold start, the known states; it writes
// nothing.
func TestIdleSweepWritesNothing(t *testing.T) {
	m := newMeter(t)
	var ids []investigation.ID
	for n := range 3 {
		a := action(n, investigation.StatusPending)
		if _, err := m.ledger.Change(t.Context(), a.ID, investigation.Observe(a, t0)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	m.wire.Reset()
	for _, lane := range investigation.Lanes() {
		if _, err := m.ledger.Due(t.Context(), tenant, lane, t0.Add(time.Hour), 100); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.ledger.Load(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"Query": 3, "BatchGetItem": 1}
	for operation, got := range m.wire.Calls() {
		if got != want[operation] {
			t.Errorf("%s was sent %d times, want %d", operation, got, want[operation])
		}
	}
}
