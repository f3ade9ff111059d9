package ledger_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"reflect"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/localcloud/dynamotest"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var keep = flag.Bool("keep", false, "write the items of this version to testdata, for later versions to read")

// keptItems holds items as written by the version of November 2026, one of each state.
const keptItems = "testdata/items-2026-11.json"

// Items written by an earlier version can be read, and would be written again unchanged.
func TestKeptItemsAreRead(t *testing.T) {
	if *keep {
		var items []any
		for _, rec := range everyRecord(t) {
			items = append(items, plain(&types.AttributeValueMemberM{Value: ledger.Encode(rec, "v")}))
		}
		text, err := json.MarshalIndent(items, "", " ")
		if err == nil {
			err = os.WriteFile(keptItems, append(text, '\n'), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(keptItems)
	if err != nil {
		t.Fatal(err)
	}
	var items []map[string]map[string]any
	err = json.Unmarshal(text, &items)
	if err != nil || len(items) < 17 {
		t.Fatalf("%d items: %v", len(items), err)
	}
	for _, it := range items {
		want := typed(it["M"]).(*types.AttributeValueMemberM).Value
		rec, err := ledger.Decode(want)
		if err != nil {
			t.Errorf("%v: %v", it, err)
			continue
		}
		if got := ledger.Encode(rec, "v"); !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%v, want\n%v", plain(&types.AttributeValueMemberM{Value: got}), it)
		}
	}
}

// plain returns an attribute in DynamoDB's JSON format.
func plain(value types.AttributeValue) any {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return map[string]any{"S": v.Value}
	case *types.AttributeValueMemberN:
		return map[string]any{"N": v.Value}
	case *types.AttributeValueMemberBOOL:
		return map[string]any{"BOOL": v.Value}
	case *types.AttributeValueMemberM:
		attributes := map[string]any{}
		for name, attribute := range v.Value {
			attributes[name] = plain(attribute)
		}
		return map[string]any{"M": attributes}
	default:
		panic("the ledger does not write attributes of this type")
	}
}

// typed is the inverse of plain: it takes the value under "M".
func typed(attributes map[string]any) types.AttributeValue {
	m := &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{}}
	for name, attribute := range attributes {
		for kind, value := range maps.All(attribute.(map[string]any)) {
			switch kind {
			case "S":
				m.Value[name] = &types.AttributeValueMemberS{Value: value.(string)}
			case "N":
				m.Value[name] = &types.AttributeValueMemberN{Value: value.(string)}
			case "BOOL":
				m.Value[name] = &types.AttributeValueMemberBOOL{Value: value.(bool)}
			case "M":
				m.Value[name] = typed(value.(map[string]any))
			}
		}
	}
	return m
}

// TestLeftovers: earlier releases keep the attributes that they do not know. Their next writes must not turn
// those into facts.
func TestLeftovers(t *testing.T) {
	table := newTable(t)
	l := newLedger(table, &dynamotest.Wire{})
	a := action(1, investigation.StatusSucceeded)
	want, err := l.Change(t.Context(), a.ID, investigation.Observe(a, t0))
	if err != nil {
		t.Fatal(err)
	}
	spoilIn(table)(t, a.ID, "claimedAt", "2026-11-03T08:00:00Z")
	got, err := l.Load(t.Context(), []investigation.ID{a.ID})
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
