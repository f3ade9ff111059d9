package ledger_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/ledger/ledgertables"
	"packhorse/internal/localcloud/dynamotest"
	"packhorse/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	headItem  = tenant + "#chain"
	begunItem = tenant + "#chain-begun"
	seals     = "TransactWriteItems"
)

// cancelled is the response to a transaction that was not executed, with the reason for each part.
func cancelled(reasons ...string) *http.Response {
	var list []string
	for _, reason := range reasons {
		list = append(list, fmt.Sprintf(`{"Code":%q}`, reason))
	}
	return response(http.StatusBadRequest, fmt.Sprintf(
		`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"told so %v",
		"CancellationReasons":[%s]}`, reasons, strings.Join(list, ",")))
}

// failed makes an action that failed in Defender and is not sealed.
func failed(t *testing.T, table string, n int) investigation.Action {
	t.Helper()
	a := action(n, investigation.StatusFailed)
	observe(t, newLedger(table, &dynamotest.Wire{}), a)
	return a
}

func seal(t *testing.T, l *ledger.Ledger, a investigation.Action) (investigation.Record, error) {
	t.Helper()
	return l.Seal(t.Context(), a.ID, investigation.Unchanged(), &memory.Sealer{})
}

func put(t *testing.T, table string, it map[string]types.AttributeValue) {
	t.Helper()
	_, err := dynamotest.Client(dynamotest.Direct).PutItem(t.Context(), &dynamodb.PutItemInput{
		TableName: aws.String(table), Item: it})
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, table, key string) {
	t.Helper()
	_, err := dynamotest.Client(dynamotest.Direct).DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: aws.String(table),
		Key:       map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: key}}})
	if err != nil {
		t.Fatal(err)
	}
}

// endsIn fails unless the chain has exactly want manifests.
func endsIn(t *testing.T, table string, want int64) {
	t.Helper()
	head, err := newLedger(table, &dynamotest.Wire{}).Head(t.Context(), tenant)
	if err != nil || head.Sequence != want {
		t.Errorf("the head is %+v, %v, want number %d", head, err, want)
	}
}

// A transaction that fails, fails although it was executed, or is canceled once leaves exactly one
// seal.
func TestSealFaults(t *testing.T) {
	type send = func() (*http.Response, error)
	tests := []struct {
		name  string
		play  func(send) (*http.Response, error)
		sent  int   // transactions
		made  int64 // manifests
		reads int
	}{
		{"nothing", func(s send) (*http.Response, error) { return s() }, 1, 1, 2},
		{"failed", func(send) (*http.Response, error) { return nil, errLost }, 2, 1, 2},
		{"failed but persisted", func(s send) (*http.Response, error) {
			resp, err := s()
			if err == nil {
				_ = resp.Body.Close()
			}
			return nil, errLost
		}, 2, 1, 2},
		{"failed but persisted, and the token forgotten", func(s send) (*http.Response, error) {
			resp, err := s()
			if err != nil {
				return nil, err
			}
			_ = resp.Body.Close()
			return cancelled("ConditionalCheckFailed", "ConditionalCheckFailed"), nil
		}, 1, 1, 3},
		{"in progress", func(send) (*http.Response, error) {
			return answer(http.StatusBadRequest, "TransactionInProgressException"), nil
		}, 2, 1, 2},
		{"head in conflict", func(send) (*http.Response, error) {
			return cancelled("TransactionConflict", "None"), nil
		}, 2, 2, 4},
		{"record in conflict", func(send) (*http.Response, error) {
			return cancelled("None", "TransactionConflict"), nil
		}, 2, 2, 4},
		{"head moved", func(send) (*http.Response, error) {
			return cancelled("ConditionalCheckFailed", "None"), nil
		}, 2, 2, 4},
		{"throttled", func(send) (*http.Response, error) {
			return cancelled("ThrottlingError", "None"), nil
		}, 2, 2, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newTable(t)
			if _, err := seal(t, newLedger(table, &dynamotest.Wire{}), failed(t, table, 0)); err != nil {
				t.Fatal(err)
			}
			a := failed(t, table, 1)
			w := &dynamotest.Wire{Play: func(op string, n int, s func() (*http.Response, error)) (
				*http.Response, error,
			) {
				if op == seals && n == 1 {
					return tt.play(s)
				}
				return s()
			}}
			var sealer memory.Sealer
			rec, err := newLedger(table, w).Seal(t.Context(), a.ID, investigation.Unchanged(), &sealer)
			if err != nil || rec.Seal.Sequence != 2 {
				t.Fatalf("got %+v, %v, want number 2", rec, err)
			}
			sent, reads := w.Count(seals), w.Count("GetItem")
			if sent != tt.sent || reads != tt.reads || sealer.Made() != tt.made {
				t.Errorf("%d transactions, %d reads, %d manifests; want %d, %d and %d",
					sent, reads, sealer.Made(), tt.sent, tt.reads, tt.made)
			}
			records, err := newLedger(table, &dynamotest.Wire{}).Load(t.Context(), []investigation.ID{a.ID})
			if err != nil || len(records) != 1 || records[0] != rec {
				t.Errorf("the ledger holds %+v, %v, want %+v", records, err, rec)
			}
			endsIn(t, table, 2)
		})
	}
}

// The SDK's retry reuses the token of the first attempt; a new attempt has a new token.
func TestSealTokens(t *testing.T) {
	table := newTable(t)
	a := failed(t, table, 1)
	tokens := map[string]int{}
	transport := &tokenWire{seen: tokens, wire: &dynamotest.Wire{Play: func(op string, n int,
		send func() (*http.Response, error),
	) (*http.Response, error) {
		switch {
		case op == seals && n == 1:
			return nil, errLost
		case op == seals && n == 2:
			return cancelled("TransactionConflict", "None", "None"), nil
		}
		return send()
	}}}
	if _, err := seal(t, ledger.New(dynamotest.Client(transport), table), a); err != nil {
		t.Fatal(err)
	}
	if len(tokens) != 2 {
		t.Errorf("got the tokens %v, want two", tokens)
	}
	for token, n := range tokens {
		if token == "" || n > 2 {
			t.Errorf("token %q was sent %d times", token, n)
		}
	}
}

// tokenWire records the client request tokens that are sent.
type tokenWire struct {
	wire *dynamotest.Wire
	seen map[string]int
}

func (w *tokenWire) RoundTrip(req *http.Request) (*http.Response, error) {
	if strings.HasSuffix(req.Header.Get("X-Amz-Target"), seals) {
		text, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(text))
		_, rest, _ := strings.Cut(string(text), `"ClientRequestToken":"`)
		token, _, _ := strings.Cut(rest, `"`)
		w.seen[token]++
	}
	return w.wire.RoundTrip(req)
}

// A cancellation for any other reason is an immediate error that says what to do.
func TestSealCancelledPermanently(t *testing.T) {
	table := newTable(t)
	a := failed(t, table, 1)
	w := &dynamotest.Wire{Play: func(op string, _ int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == seals {
			return cancelled("None", "ValidationError", "None"), nil
		}
		return send()
	}}
	_, err := seal(t, newLedger(table, w), a)
	if err == nil || !strings.Contains(err.Error(), "partition key") || w.Count(seals) != 1 {
		t.Errorf("got %v", err)
	}
	endsIn(t, table, 0)
}

// A seal gives up, without writing anything, if others keep changing the record or the head.
func TestSealContended(t *testing.T) {
	for code, word := range map[string]string{
		"TransactionConflict": "TransactionConflict", "ThrottlingError": "throttled",
	} {
		synctest.Test(t, func(t *testing.T) { // do not wait for the pauses
			w := &dynamotest.Wire{Play: func(op string, n int, _ func() (*http.Response, error)) (
				*http.Response, error,
			) {
				switch {
				case op == seals:
					return cancelled(code, "None", "None"), nil
				case n%2 == 1:
					return response(http.StatusOK, decidedItem(t)), nil
				default:
					return response(http.StatusOK, "{}"), nil
				}
			}}
			_, err := seal(t, newLedger("x", w), action(1, ""))
			if !errors.Is(err, ledger.ErrContended) || !strings.Contains(err.Error(), word) {
				t.Errorf("got %v", err)
			}
			if n := w.Count(seals); n > 100 {
				t.Errorf("tried %d times", n)
			}
		})
	}
}

// A malformed head is never overwritten, and the record it would seal is not written either.
func TestDamagedHead(t *testing.T) {
	s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
	n := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
	digest := strings.Repeat("0f", 32)
	for name, it := range map[string]map[string]types.AttributeValue{
		"nothing":       {},
		"no version":    {"sequence": n("7"), "digest": s(digest)},
		"no number":     {"version": s("v"), "digest": s(digest)},
		"number 0":      {"version": s("v"), "sequence": n("0"), "digest": s(digest)},
		"a half":        {"version": s("v"), "sequence": n("0.5"), "digest": s(digest)},
		"in words":      {"version": s("v"), "sequence": s("7"), "digest": s(digest)},
		"no digest":     {"version": s("v"), "sequence": n("7")},
		"a digest cut":  {"version": s("v"), "sequence": n("7"), "digest": s(digest[1:])},
		"a digest of A": {"version": s("v"), "sequence": n("7"), "digest": s(strings.Repeat("A", 64))},
	} {
		table := newTable(t)
		a := failed(t, table, 1)
		it["pk"] = s(headItem)
		put(t, table, it)
		w := &dynamotest.Wire{}
		l := newLedger(table, w)
		_, err := seal(t, l, a)
		_, headErr := l.Head(t.Context(), tenant)
		for call, err := range map[string]error{"seal": err, "head": headErr} {
			if !errors.Is(err, ledger.ErrStranger) || !strings.Contains(err.Error(), headItem) {
				t.Errorf("%s, %s: got %v", name, call, err)
			}
		}
		if w.Count(seals) != 0 {
			t.Errorf("%s: the item was written to", name)
		}
		records, err := l.Records(t.Context(), tenant)
		if err != nil || len(records) != 1 || records[0].IsSealed() {
			t.Errorf("%s: got %+v, %v", name, records, err)
		}
	}
}

// A chain whose head is missing does not start again with number 1, even if the head disappears
// between the read and the write.
func TestHeadIsGone(t *testing.T) {
	for _, late := range []bool{false, true} {
		table := newTable(t)
		if _, err := seal(t, newLedger(table, &dynamotest.Wire{}), failed(t, table, 0)); err != nil {
			t.Fatal(err)
		}
		if !late {
			remove(t, table, headItem)
		}
		w := &dynamotest.Wire{Play: func(op string, n int, send func() (*http.Response, error)) (
			*http.Response, error,
		) {
			if late && op == seals && n == 1 {
				remove(t, table, headItem)
			}
			return send()
		}}
		a := failed(t, table, 1)
		_, err := seal(t, newLedger(table, w), a)
		if !errors.Is(err, ledger.ErrStranger) || !strings.Contains(err.Error(), headItem) ||
			!strings.Contains(err.Error(), "gone") {
			t.Errorf("got %v", err)
		}
		records, err := newLedger(table, &dynamotest.Wire{}).Load(t.Context(), []investigation.ID{a.ID})
		if err != nil || records[0].IsSealed() {
			t.Errorf("got %+v, %v", records, err)
		}
		endsIn(t, table, 0)
	}
}

// Two writers begin a chain at once: the slower one finds that it has begun, and continues it.
func TestBegunMeanwhile(t *testing.T) {
	table := newTable(t)
	first, second := failed(t, table, 1), failed(t, table, 2)
	w := &dynamotest.Wire{Play: func(op string, n int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == seals && n == 1 {
			if _, err := seal(t, newLedger(table, &dynamotest.Wire{}), first); err != nil {
				t.Error(err)
			}
		}
		return send()
	}}
	rec, err := seal(t, newLedger(table, w), second)
	if err != nil || rec.Seal.Sequence != 2 {
		t.Errorf("got %+v, %v", rec, err)
	}
	endsIn(t, table, 2)
}

// An ordinary change of an item waits for a transaction that includes the item.
func TestChangeInConflict(t *testing.T) {
	table := newTable(t)
	a := failed(t, table, 1)
	if _, err := seal(t, newLedger(table, &dynamotest.Wire{}), a); err != nil {
		t.Fatal(err)
	}
	w := &dynamotest.Wire{Play: func(op string, n int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == "UpdateItem" && n == 1 {
			return answer(http.StatusBadRequest, "TransactionConflictException"), nil
		}
		return send()
	}}
	rec, err := newLedger(table, w).Change(t.Context(), a.ID, investigation.Announce(investigation.Conclusion{At: t0}))
	if err != nil || rec.State != investigation.StateDone || w.Count("UpdateItem") != 2 {
		t.Errorf("got %+v, %v", rec, err)
	}
}

// A manifest that is not valid UTF-8 would be read back changed, so it is refused before the write.
func TestManifestThatIsNotText(t *testing.T) {
	table := newTable(t)
	a := failed(t, table, 1)
	_, err := newLedger(table, &dynamotest.Wire{}).Seal(t.Context(), a.ID, investigation.Unchanged(), binary{})
	if err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("got %v", err)
	}
	endsIn(t, table, 0)
}

type binary struct{}

func (binary) Bucket() string { return "b" }

func (binary) Outcome(investigation.Record, investigation.Head) ([]byte, error) {
	return []byte("\xff\xfe"), nil
}

func (binary) Quarantined(investigation.Record, investigation.Head) ([]byte, error) {
	return nil, errors.New("quarantine is empty")
}

// In a table of an older release, Records names invalid items, returns the valid ones, and reads all pages.
func TestRecordsOfAnOldTable(t *testing.T) {
	table := dynamotest.Table(t, ledgertables.OldLedger("ledger-"+rand.Text()))
	for n := range 3 {
		if _, err := seal(t, newLedger(table, &dynamotest.Wire{}), failed(t, table, n)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, table, map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: tenant + "#stranger"}})
	w := &dynamotest.Wire{Play: func(op string, _ int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		resp, err := send()
		if err != nil || op != "Scan" {
			return resp, err
		}
		defer func() { _ = resp.Body.Close() }()
		return shortened(resp.Body)
	}}
	records, err := newLedger(table, w).Records(t.Context(), tenant)
	if n := w.Count("Scan"); n < 4 {
		t.Errorf("%d pages were read, want one for each item", n)
	}
	if !errors.Is(err, ledger.ErrStranger) || !strings.Contains(err.Error(), tenant+"#stranger") ||
		strings.Contains(err.Error(), headItem) || strings.Contains(err.Error(), begunItem) {
		t.Errorf("got %v", err)
	}
	if len(records) != 3 {
		t.Errorf("got %+v", records)
	}
}

// shortened is the response to a Scan, truncated after its first item.
func shortened(answer io.Reader) (*http.Response, error) {
	var page struct {
		Items            []map[string]any
		LastEvaluatedKey map[string]any `json:",omitempty"`
	}
	err := json.NewDecoder(answer).Decode(&page)
	if err != nil {
		return nil, err
	}
	if len(page.Items) > 1 {
		page.Items = page.Items[:1]
		page.LastEvaluatedKey = map[string]any{"pk": page.Items[0]["pk"]}
	}
	text, err := json.Marshal(page)
	return response(http.StatusOK, string(text)), err
}
