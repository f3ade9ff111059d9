package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/internal/localcloud/dynamotest"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const tenant = "11111111-2222-3333-4444-555555555555"

var t0 = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)

func action(n int, status investigation.Status) investigation.Action {
	return investigation.Action{
		ID:              investigation.ID{TenantID: tenant, ActionID: fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)},
		MachineID:       "0123456789abcdef0123456789abcdef01234567",
		ComputerDNSName: "ws-04711.corp.contoso.com", Requestor: "ana.lyst@contoso.com",
		RequestorComment: "suspicious sign-in, case 2026-114", CaseID: "case 2026",
		RequestSource: "Portal",
		Status:        status, CreatedAt: t0.Add(-time.Hour), LastUpdatedAt: t0.Add(-time.Minute),
	}
}

// receipt makes a receipt as long as the default prefix allows.
func receipt(a investigation.Action) investigation.Receipt {
	return investigation.Receipt{
		Bucket:    "packhorse-evidence-123456789012-us-east-1",
		Key:       "packages/" + tenant + "/" + a.MachineID + "/20261103T080000Z_" + a.ActionID + ".zip",
		VersionID: "3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", Size: 123_456_789,
		SHA256: strings.Repeat("0f", 32), CRC32C: "yZRlqg==", PartSize: 64 << 20,
		Retention: investigation.Retention{Mode: "GOVERNANCE",
			Until: t0.AddDate(1, 0, 0), LegalHold: true},
	}
}

func observe(t *testing.T, l *ledger.Ledger, a investigation.Action) investigation.Record {
	t.Helper()
	rec, err := l.Change(t.Context(), a.ID, investigation.Observe(a, t0))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

var errLost = errors.New("connection reset by peer")

// lose executes the nth request of an operation but drops its response.
func lose(operation string, nth int) *dynamotest.Wire {
	return &dynamotest.Wire{Play: func(op string, n int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		resp, err := send()
		if op == operation && n == nth && err == nil {
			_ = resp.Body.Close()
			return nil, errLost
		}
		return resp, err
	}}
}

// Each change can tell a write whose response was lost from one that did not happen.
func TestLostAnswers(t *testing.T) {
	table := newTable(t)
	a := action(1, investigation.StatusSucceeded)
	until := t0.Add(time.Minute)
	steps := []struct {
		name string
		do   func(context.Context, *ledger.Ledger) error
		want investigation.State
	}{
		{"observe", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.Observe(a, t0))
			return err
		}, investigation.StateReady},
		{"claim", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.Claim("ada", t0, until))
			return err
		}, investigation.StateFetching},
		{"renew", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.Renew("ada", until.Add(time.Minute)))
			return err
		}, investigation.StateFetching},
		{"release", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.GiveBack("ada", investigation.Release{DueAt: t0}))
			return err
		}, investigation.StateReady},
		{"claim again", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.Claim("bob", t0, until))
			return err
		}, investigation.StateFetching},
		{"archived", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Seal(ctx, a.ID, investigation.Archive("bob", investigation.Arrival{At: t0, Receipt: receipt(a)}), &memory.Sealer{})
			return err
		}, investigation.StateArchived},
		{"announced", func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, a.ID, investigation.Announce(investigation.Conclusion{At: t0}))
			return err
		}, investigation.StateDone},
	}
	for _, step := range steps {
		operation := "UpdateItem"
		if step.want == investigation.StateArchived {
			operation = "TransactWriteItems"
		}
		w := lose(operation, 1)
		if err := step.do(t.Context(), newLedger(table, w)); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if n := w.Count(operation); n != 2 {
			t.Errorf("%s: sent %d times, want 2", step.name, n)
		}
		records, err := newLedger(table, &dynamotest.Wire{}).Load(t.Context(), []investigation.ID{a.ID})
		if err != nil || len(records) != 1 || records[0].State != step.want {
			t.Fatalf("after %s: got %+v, %v", step.name, records, err)
		}
	}
	records, err := newLedger(table, &dynamotest.Wire{}).Load(t.Context(), []investigation.ID{a.ID})
	if err != nil || records[0].Attempts != 1+1 {
		t.Errorf("got %+v, %v, want 2 attempts", records, err)
	}
}

// answer is a DynamoDB error in its wire format.
func answer(status int, code string) *http.Response {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"told so"}`, code)
	return response(status, body)
}

func response(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	calls := map[string]func(context.Context, *ledger.Ledger) error{
		"GetItem": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, action(1, "Succeeded").ID, investigation.Claim("ada", t0, t0.Add(time.Minute)))
			return err
		},
		"UpdateItem": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Change(ctx, action(1, "Succeeded").ID, investigation.Observe(action(1, "Succeeded"), t0))
			return err
		},
		"BatchGetItem": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Load(ctx, []investigation.ID{action(1, "").ID})
			return err
		},
		"TransactWriteItems": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Seal(ctx, action(1, "").ID, investigation.Unchanged(), &memory.Sealer{})
			return err
		},
		"Scan": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Tenants(ctx)
			return err
		},
		"Query": func(ctx context.Context, l *ledger.Ledger) error {
			_, err := l.Due(ctx, tenant, investigation.LaneLive, t0, 10)
			return err
		},
	}
	for code, want := range map[string]string{
		"ProvisionedThroughputExceededException": "throttled",
		"ThrottlingException":                    "throttled",
		"AccessDeniedException":                  "dynamodb:GetItem, BatchGetItem",
		"ResourceNotFoundException":              "LEDGER_TABLE",
		"ValidationException":                    "index",
	} {
		for operation, call := range calls {
			// In a bubble, the test does not wait for the pauses between attempts.
			synctest.Test(t, func(t *testing.T) {
				w := &dynamotest.Wire{Play: func(op string, nth int, _ func() (*http.Response, error)) (
					*http.Response, error,
				) {
					if op == operation {
						return answer(http.StatusBadRequest, code), nil
					}
					if operation == "TransactWriteItems" && op == "GetItem" && nth == 1 {
						return response(http.StatusOK, decidedItem(t)), nil
					}
					return response(http.StatusOK, "{}"), nil
				}}
				err := call(t.Context(), newLedger("no-such-table", w))
				if err == nil {
					t.Fatalf("%s of %s succeeded", code, operation)
				}
				for _, word := range []string{want, "no-such-table", code} {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("%s of %s: the error lacks %q: %v", code, operation, word, err)
					}
				}
				if sent := w.Count(operation); sent > 4 {
					t.Errorf("%s of %s: sent %d times", code, operation, sent)
				}
			})
		}
	}
}

// decidedItem is the response to a read of an action that failed and is not yet sealed.
func decidedItem(t *testing.T) string {
	t.Helper()
	rec, _ := investigation.Observe(action(1, "Failed"), t0).Apply(investigation.Record{})
	attributes := map[string]any{}
	for name, value := range ledger.Encode(rec, "v") {
		switch v := value.(type) {
		case *types.AttributeValueMemberS:
			attributes[name] = map[string]string{"S": v.Value}
		case *types.AttributeValueMemberN:
			attributes[name] = map[string]string{"N": v.Value}
		default:
			t.Fatalf("attribute %s has an unexpected type", name)
		}
	}
	body, err := json.Marshal(map[string]any{"Item": attributes})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMissingTable(t *testing.T) {
	_, err := newLedger("no-such-table", &dynamotest.Wire{}).Change(t.Context(), action(1, "Succeeded").ID, investigation.Observe(action(1, "Succeeded"), t0))
	if err == nil || !strings.Contains(err.Error(), "LEDGER_TABLE") {
		t.Errorf("got %v", err)
	}
}

// A refusal without the item makes the ledger read it: bob was faster.
func TestRefusalWithoutItem(t *testing.T) {
	table := newTable(t)
	a := action(1, "Succeeded")
	observe(t, newLedger(table, &dynamotest.Wire{}), a)
	l := newLedger(table, &dynamotest.Wire{Play: func(op string, n int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == "UpdateItem" && n == 1 {
			_, err := newLedger(table, &dynamotest.Wire{}).Change(t.Context(), a.ID, investigation.Claim("bob", t0, t0.Add(time.Minute)))
			if err != nil {
				t.Error(err)
			}
			return answer(http.StatusBadRequest, "ConditionalCheckFailedException"), nil
		}
		return send()
	}})
	_, err := l.Change(t.Context(), a.ID, investigation.Claim("ada", t0, t0.Add(time.Minute)))
	if _, refused := errors.AsType[*investigation.NotClaimableError](err); !refused {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestContended(t *testing.T) {
	l := newLedger(newTable(t), &dynamotest.Wire{Play: func(op string, _ int,
		send func() (*http.Response, error),
	) (*http.Response, error) {
		if op == "UpdateItem" {
			return answer(http.StatusBadRequest, "ConditionalCheckFailedException"), nil
		}
		return send()
	}})
	_, err := l.Change(t.Context(), action(1, "Succeeded").ID, investigation.Observe(action(1, "Succeeded"), t0))
	if !errors.Is(err, ledger.ErrContended) {
		t.Errorf("got %v", err)
	}
}

// Only the items that DynamoDB leaves unread in a batch are requested again.
func TestUnprocessedKeys(t *testing.T) {
	table := newTable(t)
	var ids []investigation.ID
	for n := range 5 {
		ids = append(ids, observe(t, newLedger(table, &dynamotest.Wire{}), action(n, "Succeeded")).ID)
	}
	w := &dynamotest.Wire{}
	w.Play = func(op string, n int, send func() (*http.Response, error)) (*http.Response, error) {
		resp, err := send()
		if op != "BatchGetItem" || n > 3 || err != nil {
			return resp, err
		}
		defer func() { _ = resp.Body.Close() }()
		var body struct {
			Responses       map[string][]map[string]any
			UnprocessedKeys map[string]any
		}
		if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
			return nil, err
		}
		items := body.Responses[table]
		body.Responses[table] = items[:1]
		var keys []any
		for _, it := range items[1:] {
			keys = append(keys, map[string]any{"pk": it["pk"]})
		}
		body.UnprocessedKeys = map[string]any{table: map[string]any{"Keys": keys, "ConsistentRead": true}}
		text, err := json.Marshal(body)
		return response(http.StatusOK, string(text)), err
	}
	records, err := newLedger(table, w).Load(t.Context(), ids)
	if err != nil || len(records) != 5 {
		t.Errorf("got %d records, %v", len(records), err)
	}
	if n := w.Count("BatchGetItem"); n != 4 {
		t.Errorf("%d batches were read, want 4", n)
	}
}

// A batch that stays unread ends in an error after a bounded number of attempts.
func TestUnprocessedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := action(1, "").ID
		w := &dynamotest.Wire{Play: func(string, int, func() (*http.Response, error)) (*http.Response, error) {
			return response(http.StatusOK, fmt.Sprintf(
				`{"Responses":{},"UnprocessedKeys":{"x":{"Keys":[{"pk":{"S":%q}}]}}}`, id)), nil
		}}
		began := time.Now()
		_, err := newLedger("x", w).Load(t.Context(), []investigation.ID{id})
		if err == nil || !strings.Contains(err.Error(), "throttled") {
			t.Errorf("got %v", err)
		}
		if n, took := w.Count("BatchGetItem"), time.Since(began); n > 10 || took > 10*time.Second {
			t.Errorf("gave up after %d batches and %v", n, took)
		}
	})
}

// Errors name the keys of invalid items; the valid ones are returned.
func TestStrangers(t *testing.T) {
	s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
	n := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
	type attributes = map[string]types.AttributeValue
	digest := strings.Repeat("0f", 32)
	kept := &types.AttributeValueMemberM{Value: attributes{"key": s("q.bin"), "size": n("1")}}
	place := func(sequence, digest string) types.AttributeValue {
		return &types.AttributeValueMemberM{Value: attributes{"sequence": n(sequence), "digest": s(digest)}}
	}
	spoils := map[string]func(attributes){
		"no version":       func(it attributes) { delete(it, "version") },
		"a number for one": func(it attributes) { it["version"] = n("1") },
		"another action":   func(it attributes) { it["actionId"] = s("x") },
		"no tenant":        func(it attributes) { delete(it, "tenantId") },
		"no state":         func(it attributes) { delete(it, "state") },
		"a state of old":   func(it attributes) { it["state"] = s("sleeping") },
		"ready in no lane": func(it attributes) { delete(it, "lane"); delete(it, "dueAt") },
		"another's lane":   func(it attributes) { it["lane"] = s("somebody#live") },
		"a lane of its own": func(it attributes) {
			it["lane"] = s(tenant + "#express")
		},
		"no due time":         func(it attributes) { delete(it, "dueAt") },
		"due in nanoseconds":  func(it attributes) { it["dueAt"] = n("1793696400000000000") },
		"due at half a milli": func(it attributes) { it["dueAt"] = n("0.5") },
		"no machine":          func(it attributes) { delete(it, "machineId") },
		"words for a time":    func(it attributes) { it["createdAt"] = s("yesterday") },
		"a number for words":  func(it attributes) { it["requestor"] = n("7") },
		"an owner too many":   func(it attributes) { it["owner"] = s("ada") },
		"a list of attempts":  func(it attributes) { it["attempts"] = &types.AttributeValueMemberL{} },
		"a receipt in words":  func(it attributes) { it["receipt"] = s("paid") },
		"an empty receipt":    func(it attributes) { it["receipt"] = &types.AttributeValueMemberM{} },
		"archived, where":     func(it attributes) { it["state"] = s("archived") },
		"sealed too early":    func(it attributes) { it["seal"] = place("1", digest); it["manifestKey"] = s("k") },
		"a seal in words":     func(it attributes) { it["seal"] = s("wax") },
		"a place 0":           func(it attributes) { it["seal"] = place("0", digest) },
		"a short digest":      func(it attributes) { it["seal"] = place("1", digest[2:]) },
		"sealed, and what": func(it attributes) {
			it["state"], it["reason"], it["seal"] = s("notCollected"), s("Failed"), place("1", digest)
		},
		"another's manifest": func(it attributes) {
			it["state"], it["reason"], it["seal"] = s("notCollected"), s("Failed"), place("1", digest)
			it["seal"].(*types.AttributeValueMemberM).Value["manifest"] = s("{}")
		},
		"a quarantine for no reason": func(it attributes) { it["quarantine"] = kept },
		"a quarantine not sealed": func(it attributes) {
			it["state"], it["reason"], it["seal"] = s("done"), s("Invalid"), place("2", digest)
			it["quarantine"] = kept
			delete(it, "lane")
		},
		"seals that are apart": func(it attributes) {
			it["state"], it["reason"], it["seal"] = s("done"), s("Invalid"), place("3", digest)
			it["quarantine"], it["quarantineSeal"] = kept, place("1", digest)
			delete(it, "lane")
		},
		"a part size below 0": func(it attributes) {
			it["receipt"] = &types.AttributeValueMemberM{Value: attributes{"size": n("1"), "partSize": n("-1")}}
		},
		"a hold in words": func(it attributes) {
			it["receipt"] = &types.AttributeValueMemberM{Value: attributes{"size": n("1"), "legalHold": s("yes")}}
		},
	}
	table := newTable(t)
	client := dynamotest.Client(dynamotest.Direct)
	l := newLedger(table, &dynamotest.Wire{})
	good := observe(t, l, action(0, "Succeeded"))
	ids := []investigation.ID{good.ID}
	for name, spoil := range spoils {
		a := action(len(ids), "Succeeded")
		observe(t, l, a)
		out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{
			TableName: aws.String(table), Key: attributes{"pk": s(a.String())},
		})
		if err != nil {
			t.Fatal(err)
		}
		spoil(out.Item)
		_, err = client.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: aws.String(table), Item: out.Item,
		})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
		w := &dynamotest.Wire{}
		for call, do := range map[string]func() (investigation.Record, error){
			"observe": func() (investigation.Record, error) {
				return newLedger(table, w).Change(t.Context(), a.ID, investigation.Observe(a, t0))
			},
			"seal": func() (investigation.Record, error) {
				return newLedger(table, w).Seal(t.Context(), a.ID, investigation.Unchanged(), &memory.Sealer{})
			},
			"claim": func() (investigation.Record, error) {
				return newLedger(table, w).Change(t.Context(), a.ID, investigation.Claim("ada", t0, t0.Add(time.Minute)))
			},
		} {
			_, err := do()
			if !errors.Is(err, ledger.ErrStranger) || !strings.Contains(err.Error(), a.String()) {
				t.Errorf("%s, %s: got %v", name, call, err)
			}
		}
		if w.Count("UpdateItem")+w.Count("TransactWriteItems") != 0 {
			t.Errorf("%s: the item was written to", name)
		}
	}
	records, err := l.Load(t.Context(), ids)
	if !errors.Is(err, ledger.ErrStranger) || len(records) != 1 || records[0] != good {
		t.Errorf("load: got %+v, %v", records, err)
	}
	for _, id := range ids[1:] {
		if !strings.Contains(err.Error(), id.String()) {
			t.Errorf("load's error does not name %s", id)
		}
	}
	records, err = l.Due(t.Context(), tenant, investigation.LaneLive, t0, 1)
	if len(records) != 1 || records[0] != good {
		t.Errorf("due: got %+v, %v", records, err)
	}
}

// An action that the index lists too early is checked again, and attributes written by a newer
// version of the code are kept.
func TestStaleIndexAndForeignAttributes(t *testing.T) {
	table := newTable(t)
	client := dynamotest.Client(dynamotest.Direct)
	l := newLedger(table, &dynamotest.Wire{})
	a := action(1, "Succeeded")
	observe(t, l, a)
	key := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: a.String()}}
	_, err := client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String(table), Key: key, UpdateExpression: aws.String("SET legalHold = :y"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":y": &types.AttributeValueMemberBOOL{Value: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stale := newLedger(table, &dynamotest.Wire{Play: func(op string, _ int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		resp, err := send()
		if op == "Query" { // somebody claims after the index was read
			_, err := l.Change(t.Context(), a.ID, investigation.Claim("ada", t0, t0.Add(time.Hour)))
			if err != nil {
				t.Error(err)
			}
		}
		return resp, err
	}})
	due, err := stale.Due(t.Context(), tenant, investigation.LaneLive, t0, 10)
	if err != nil || len(due) != 0 {
		t.Errorf("got %+v, %v, want nothing due", due, err)
	}
	out, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(table), Key: key})
	if err != nil || out.Item["legalHold"] == nil || out.Item["owner"] == nil {
		t.Errorf("got %v, %v", out.Item, err)
	}
}
