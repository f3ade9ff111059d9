package upgrade_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"packhorse/internal/custody"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func ledgerTable() *dynamodb.CreateTableInput { return ledgertables.Ledger("ledger-" + rand.Text()) }
func budgetTable() *dynamodb.CreateTableInput { return ledgertables.Budget("budget-" + rand.Text()) }

// versionID names the n-th version of an object, as memory.Bucket does.
func versionID(n int) string { return fmt.Sprintf("v%d", n+1) }

// leftovers is what a release has left.
type leftovers struct {
	story
	name           string
	ledger, budget map[string]map[string]types.AttributeValue
	bucket         map[string][]memory.Object
	key            []byte // that signs
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, folder string) leftovers {
	t.Helper()
	l := leftovers{name: filepath.Base(folder)}
	read(t, filepath.Join(folder, storyFile), &l.story)
	read(t, filepath.Join(folder, bucketFile), &l.bucket)
	for name, into := range map[string]*map[string]map[string]types.AttributeValue{
		ledgerFile: &l.ledger, budgetFile: &l.budget,
	} {
		var items map[string]map[string]any
		read(t, filepath.Join(folder, name), &items)
		*into = map[string]map[string]types.AttributeValue{}
		for key, it := range items {
			(*into)[key] = typed(it)
		}
	}
	var err error
	l.key, err = os.ReadFile(filepath.Join(folder, custody.LocalKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// restore returns a stack with all that, as the earlier release left it.
func (l leftovers) restore(t *testing.T) *world {
	t.Helper()
	keys := t.TempDir()
	if err := os.WriteFile(filepath.Join(keys, custody.LocalKeyFile), l.key, 0o600); err != nil {
		t.Fatal(err)
	}
	old := ledgertables.OldLedger("ledger-" + rand.Text())
	ledgerAt, budgetAt := dynamotest.Table(t, old), dynamotest.Table(t, budgetTable())
	fill(t, ledgerAt, l.ledger)
	fill(t, budgetAt, l.budget)
	w := newWorld(t, l.At, ledgerAt, budgetAt, keys)
	w.upgrade()
	for key, versions := range l.bucket {
		for _, o := range versions {
			w.bucket.Plant(key, o)
		}
	}
	downloads := map[string][]mdesim.Download{}
	for _, c := range l.Actions {
		w.sim.Add(c.Action)
		if len(c.Downloads) > 0 {
			downloads[c.Action.ID] = c.Downloads
		}
	}
	w.sim.SetFaults(mdesim.Faults{Downloads: downloads})
	w.queue = slices.Clone(l.Events)
	return w
}

// fill writes the items into a table.
func fill(t *testing.T, table string, items map[string]map[string]types.AttributeValue) {
	t.Helper()
	client := dynamotest.Client(dynamotest.Direct)
	for _, it := range items {
		_, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(table), Item: it})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// plain returns attributes in DynamoDB's JSON format.
func plain(it map[string]types.AttributeValue) map[string]any {
	all := map[string]any{}
	for name, value := range it {
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			all[name] = map[string]any{"S": v.Value}
		case *types.AttributeValueMemberN:
			all[name] = map[string]any{"N": v.Value}
		case *types.AttributeValueMemberBOOL:
			all[name] = map[string]any{"BOOL": v.Value}
		case *types.AttributeValueMemberM:
			all[name] = map[string]any{"M": plain(v.Value)}
		default:
			panic("no table has attributes of this type")
		}
	}
	return all
}

// typed is the inverse of plain.
func typed(attributes map[string]any) map[string]types.AttributeValue {
	it := map[string]types.AttributeValue{}
	for name, attribute := range attributes {
		for kind, value := range attribute.(map[string]any) {
			switch kind {
			case "S":
				it[name] = &types.AttributeValueMemberS{Value: value.(string)}
			case "N":
				it[name] = &types.AttributeValueMemberN{Value: value.(string)}
			case "BOOL":
				it[name] = &types.AttributeValueMemberBOOL{Value: value.(bool)}
			case "M":
				it[name] = &types.AttributeValueMemberM{Value: typed(value.(map[string]any))}
			default:
				panic("no table has attributes of this type")
			}
		}
	}
	return it
}
