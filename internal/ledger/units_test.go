package ledger_test

import (
	"strings"
	"testing"
	"time"

	"packhorse/internal/localcloud/dynamotest"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// meter counts the write units of each change by DynamoDB's rules, from what the item was before
// and after it: the stand-in does not charge.
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

// units makes the change, which has to be one write (or none), and returns what that costs.
func (m *meter) units(id investigation.ID, change func() error) int {
	m.t.Helper()
	if err := change(); err != nil {
		m.t.Fatal(err)
	}
	writes := m.wire.Count("UpdateItem")
	out, err := m.client.GetItem(m.t.Context(), &dynamodb.GetItemInput{
		TableName:      aws.String(m.table),
		Key:            map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id.String()}},
		ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	before, after := m.before, out.Item
	m.before = after
	switch writes {
	case 0:
		return 0
	case 1:
		return (max(size(before), size(after))+1023)/1024 + indexUnits(before, after)
	default:
		m.t.Fatalf("one change is %d writes", writes)
		return 0
	}
}

// indexUnits: an entry that appears or goes is one write, one that moves is two.
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

// size is the size of an item as DynamoDB bills it, in bytes.
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
		default:
			panic("an attribute of a kind that is not measured")
		}
	}
	return total
}

// budgetUnits is what a call of getPackageUri costs beside this: dynamocounter's tests count it.
const budgetUnits = 2

// The numbers of docs/ledger.md, for a package with the names and words of a real tenant.
func TestWriteUnitsPerPackage(t *testing.T) {
	m := newMeter(t)
	a := action(1, investigation.StatusPending)
	until := t0.Add(2 * time.Minute)
	r := receipt(a)
	observe := func() error {
		_, err := m.ledger.Observe(t.Context(), a, t0)
		return err
	}
	claim := func() error {
		_, err := m.ledger.Claim(t.Context(), a.ID, "2026/11/03/[$LATEST]0123456789abcdef", t0, until)
		return err
	}
	steps := []struct {
		name   string
		change func() error
		want   int
	}{
		{"first seen while it waits", observe, 1},
		{"seen again while it waits", observe, 0},
		{"seen to be ready", func() error {
			a.Status = investigation.StatusSucceeded
			return observe()
		}, 2},
		{"seen again when ready", observe, 0},
		{"claim", claim, 3},
		{"the claim again", claim, 0},
		{"archived", func() error {
			_, err := m.ledger.Archived(t.Context(), a.ID, "2026/11/03/[$LATEST]0123456789abcdef",
				r, manifestKey(r), t0.Add(9*time.Second+123456789))
			return err
		}, 1},
		{"announced", func() error {
			return m.ledger.Announced(t.Context(), a.ID, t0.Add(9*time.Second+323456789))
		}, 2},
		{"announced again", func() error { return m.ledger.Announced(t.Context(), a.ID, t0) }, 0},
	}
	total := budgetUnits
	for _, step := range steps {
		got := m.units(a.ID, step.change)
		if got != step.want {
			t.Errorf("%s: %d write units, want %d (the item has %d bytes)",
				step.name, got, step.want, size(m.before))
		}
		total += got
	}
	const waiting = 1 // an action that is done when it is first seen is not written before
	if total-waiting > 10 {
		t.Errorf("a package costs %d write units, 10 are allowed", total-waiting)
	}
	t.Logf("a package costs %d write units, one more if it was seen waiting; its item has %d bytes",
		total-waiting, size(m.before))
}

// A release costs what a claim costs: the item moves in the index.
func TestWriteUnitsOfARelease(t *testing.T) {
	m := newMeter(t)
	a := action(1, investigation.StatusSucceeded)
	claim := func() error {
		_, err := m.ledger.Claim(t.Context(), a.ID, "ada", t0, t0.Add(time.Minute))
		return err
	}
	m.units(a.ID, func() error { _, err := m.ledger.Observe(t.Context(), a, t0); return err })
	m.units(a.ID, claim)
	got := m.units(a.ID, func() error {
		_, err := m.ledger.Release(t.Context(), a.ID, "ada", investigation.Release{
			DueAt: t0.Add(time.Second), Charge: investigation.ChargeNothing})
		return err
	})
	if got != 3 {
		t.Errorf("got %d write units, want 3", got)
	}
}

// A sweep in which nothing changed reads the two lanes, and on a cold start the known states; it
// writes nothing.
func TestIdleSweepWritesNothing(t *testing.T) {
	m := newMeter(t)
	var ids []investigation.ID
	for n := range 3 {
		a := action(n, investigation.StatusPending)
		if _, err := m.ledger.Observe(t.Context(), a, t0); err != nil {
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
	want := map[string]int{"Query": 2, "BatchGetItem": 1}
	for operation, got := range m.wire.Calls() {
		if got != want[operation] {
			t.Errorf("%s was sent %d times, want %d", operation, got, want[operation])
		}
	}
}
