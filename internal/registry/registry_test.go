package registry_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	conformance "packhorse/internal/conformance/registry"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/registry"
	"packhorse/internal/tenant"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

func TestMain(m *testing.M) { os.Exit(dynamotest.Main(m)) }

// newTable creates an empty table for one test. Its keys are those of a budget table.
func newTable(t *testing.T) string {
	t.Helper()
	return dynamotest.Table(t, ledgertables.Budget("tenants-"+rand.Text()))
}

func key(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: id}}
}

// set sets an attribute without any check.
func set(t *testing.T, table, id, field string, value types.AttributeValue) {
	t.Helper()
	_, err := dynamotest.Client(dynamotest.Direct).UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: key(id), UpdateExpression: aws.String("SET #f = :v"),
		ExpressionAttributeNames:  map[string]string{"#f": field},
		ExpressionAttributeValues: map[string]types.AttributeValue{":v": value},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRegistry(t *testing.T) {
	conformance.Run(t, func(t *testing.T) conformance.Store {
		table := newTable(t)
		return conformance.Store{
			One:   registry.New(dynamotest.Client(&dynamotest.Wire{}), table),
			Other: registry.New(dynamotest.Client(&dynamotest.Wire{}), table),
			Spoil: func(t *testing.T, id, field, value string) {
				t.Helper()
				set(t, table, id, field, &types.AttributeValueMemberS{Value: value})
			},
			Field: func(t *testing.T, id, field string) string {
				t.Helper()
				out, err := dynamotest.Client(dynamotest.Direct).GetItem(t.Context(),
					&dynamodb.GetItemInput{TableName: aws.String(table), Key: key(id)})
				if err != nil {
					t.Fatal(err)
				}
				value, _ := out.Item[field].(*types.AttributeValueMemberS)
				if value == nil {
					return ""
				}
				return value.Value
			},
		}
	})
}

var now = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

func entry(i int) tenant.Tenant {
	return tenant.New(tenant.Tenant{ID: conformance.ID(i), Name: "customer"}, now)
}

// TestLostAnswer: a write whose answer was lost, and which the SDK sends again, is no conflict.
func TestLostAnswer(t *testing.T) {
	table := newTable(t)
	wire := &dynamotest.Wire{}
	r := registry.New(dynamotest.Client(wire), table)
	wire.Play = func(operation string, nth int, send func() (*http.Response, error)) (*http.Response, error) {
		res, err := send()
		if (operation == "UpdateItem" || operation == "DeleteItem") && nth == 1 && err == nil {
			_ = res.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
		return res, err
	}
	stored, err := r.Put(t.Context(), entry(1))
	if err != nil || stored.Version == "" || wire.Count("UpdateItem") != 2 {
		t.Fatalf("got %+v, %v", stored, err)
	}
	if got, err := r.Get(t.Context(), stored.ID); err != nil || got != stored {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := r.Delete(t.Context(), stored); err != nil || wire.Count("DeleteItem") != 2 {
		t.Errorf("delete: %v", err)
	}
}

// TestCalls: what a tick, a fetcher and a command send.
func TestCalls(t *testing.T) {
	wire := &dynamotest.Wire{}
	r := registry.New(dynamotest.Client(wire), newTable(t))
	count := func(want ...string) {
		t.Helper()
		calls := wire.Calls()
		wire.Reset()
		for _, operation := range want {
			if calls[operation] != 1 {
				t.Errorf("%s was sent %d times", operation, calls[operation])
			}
			delete(calls, operation)
		}
		if len(calls) != 0 {
			t.Errorf("it also sent %v", calls)
		}
	}
	stored, err := r.Put(t.Context(), entry(1))
	count("UpdateItem")
	_, listErr := r.List(t.Context())
	count("Scan")
	_, getErr := r.Get(t.Context(), stored.ID)
	count("GetItem")
	deleteErr := r.Delete(t.Context(), stored)
	count("DeleteItem")
	if err := errors.Join(err, listErr, getErr, deleteErr); err != nil {
		t.Error(err)
	}
}

// TestForeignTypes: an attribute that is not a string damages its entry alone, unless a newer release wrote it.
func TestForeignTypes(t *testing.T) {
	table := newTable(t)
	r := registry.New(dynamotest.Client(&dynamotest.Wire{}), table)
	for i := range 2 {
		if _, err := r.Put(t.Context(), entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	set(t, table, conformance.ID(0), "newer", &types.AttributeValueMemberN{Value: "7"})
	set(t, table, conformance.ID(1), tenant.FieldPerMinute, &types.AttributeValueMemberN{Value: "2"})
	all, err := r.List(t.Context())
	if len(all) != 1 || !errors.Is(err, tenant.ErrInvalid) || !strings.Contains(err.Error(), conformance.ID(1)) ||
		!strings.Contains(err.Error(), tenant.FieldPerMinute) || strings.Contains(err.Error(), conformance.ID(0)) {
		t.Errorf("got %+v, %v", all, err)
	}
}

// TestNoTable: the error says what to check.
func TestNoTable(t *testing.T) {
	r := registry.New(dynamotest.Client(&dynamotest.Wire{}), "nothing-here")
	_, err := r.List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does TENANTS_TABLE name a table in this account and region?") {
		t.Errorf("got %v", err)
	}
}
