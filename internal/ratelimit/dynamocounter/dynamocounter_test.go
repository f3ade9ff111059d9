package dynamocounter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/localcloud/dynamotest"

	conformance "packhorse/internal/conformance/counter"
	"packhorse/internal/ratelimit"
	"packhorse/internal/ratelimit/dynamocounter"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

var (
	budget = ratelimit.Budget{Name: "tenant#client#getPackageUri", PerMinute: 2, PerHour: 120}
	start  = time.Date(2026, 11, 3, 9, 0, 0, 0, time.UTC)
)

const hold = time.Minute + ratelimit.Guard

func TestCounter(t *testing.T) {
	conformance.Run(t, func(t *testing.T) ratelimit.Counter { return newCounter(newTable(t), &dynamotest.Wire{}) })
}

// The list API's budget has more slots than any budget in the conformance suite.
func TestManySlots(t *testing.T) {
	c := newCounter(newTable(t), &dynamotest.Wire{})
	list := ratelimit.Budget{Name: "tenant#client#list", PerMinute: 100, PerHour: 1500}
	for i := range 25 {
		lease(t, c, list, fmt.Sprintf("owner %d", i), start, true)
	}
	lease(t, c, list, "one more", start, false)
}

func lease(t *testing.T, c ratelimit.Counter, b ratelimit.Budget, owner string, now time.Time,
	allowed bool,
) ratelimit.Decision {
	t.Helper()
	d, err := c.Lease(t.Context(), b, owner, now)
	if err != nil {
		t.Fatal(err)
	}
	if d.Allowed != allowed {
		t.Fatalf("lease for %s: got %+v, want allowed %v", owner, d, allowed)
	}
	return d
}

// docs/ledger.md states the cost of each step.
func TestWrites(t *testing.T) {
	w := &dynamotest.Wire{}
	c := newCounter(newTable(t), w)
	costs := func(step string, reads, writes int) {
		t.Helper()
		gotReads, gotWrites := w.Count("GetItem"), w.Count("UpdateItem")
		if gotReads != reads || gotWrites != writes {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", step, gotReads, gotWrites, reads, writes)
		}
	}
	d := lease(t, c, budget, "a", start, true)
	costs("a lease", 1, 1)
	lease(t, c, budget, "a", start, true)
	costs("the lease again", 1, 0)
	settle := func(owner string) {
		t.Helper()
		if err := c.Settle(t.Context(), budget, owner, d.Slot, start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	settle("a")
	costs("a settlement", 1, 1)
	settle("a")
	costs("the settlement again", 1, 0)
	settle("somebody")
	costs("a settlement of somebody else's", 1, 0)
	lease(t, c, budget, "b", start, true)
	costs("the other lease", 1, 1)
	lease(t, c, budget, "c", start, false)
	costs("a denial", 1, 0)
	for range 2 {
		if err := c.CoolDown(t.Context(), budget, start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	costs("a cooldown, twice", 2, 1)
	if _, err := c.Peek(t.Context(), budget); err != nil {
		t.Fatal(err)
	}
	costs("a look", 1, 0)
}

// A slot that another process settles early can be leased at once: the counter caches nothing.
func TestTwoProcesses(t *testing.T) {
	table := newTable(t)
	one, other := newCounter(table, &dynamotest.Wire{}), newCounter(table, &dynamotest.Wire{})
	d := lease(t, one, budget, "a", start, true)
	lease(t, other, budget, "b", start, true)
	lease(t, other, budget, "c", start.Add(time.Second), false)
	if err := one.Settle(t.Context(), budget, "a", d.Slot, start); err != nil {
		t.Fatal(err)
	}
	lease(t, other, budget, "c", start.Add(hold), true)
}

// Both processes read the unspent budget before either wrote: the refusal contains the current item.
func TestRaceIsDecidedByTheWrite(t *testing.T) {
	table := newTable(t)
	var both sync.WaitGroup
	both.Add(2)
	meet := func(op string, nth int, send func() (*http.Response, error)) (*http.Response, error) {
		resp, err := send()
		if op == "GetItem" && nth == 1 {
			both.Done()
			both.Wait()
		}
		return resp, err
	}
	wires := []*dynamotest.Wire{{Play: meet}, {Play: meet}}
	decisions := make([]ratelimit.Decision, len(wires))
	var all sync.WaitGroup
	for i, w := range wires {
		c := newCounter(table, w)
		all.Go(func() {
			d, err := c.Lease(t.Context(), budget, fmt.Sprintf("owner %d", i), start)
			if err != nil {
				t.Error(err)
			}
			decisions[i] = d
		})
	}
	all.Wait()
	if !decisions[0].Allowed || !decisions[1].Allowed || decisions[0].Slot == decisions[1].Slot {
		t.Errorf("got %+v", decisions)
	}
	if writes := wires[0].Count("UpdateItem") + wires[1].Count("UpdateItem"); writes != 3 {
		t.Errorf("two leases in a race took %d writes, want 3", writes)
	}
}

var errLost = errors.New("connection reset by peer")

// lose lets the nth call of an operation take effect, but loses its answer.
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

func TestLostAnswers(t *testing.T) {
	table := newTable(t)
	c := newCounter(table, lose("UpdateItem", 1))
	d := lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "b", start, true)
	lease(t, c, budget, "c", start, false)
	c = newCounter(table, lose("UpdateItem", 1))
	if err := c.Settle(t.Context(), budget, "a", d.Slot, start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	lease(t, c, budget, "d", start.Add(time.Second+hold), true)
	c = newCounter(table, lose("UpdateItem", 1))
	if err := c.CoolDown(t.Context(), budget, start.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	lease(t, c, budget, "e", start.Add(time.Hour-1), false)
}

// answer returns a DynamoDB error, as it is on the wire.
func answer(status int, code string) *http.Response {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"told so"}`, code)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	for code, want := range map[string]string{
		"ProvisionedThroughputExceededException": "throttled",
		"ThrottlingException":                    "throttled",
		"AccessDeniedException":                  "dynamodb:UpdateItem",
		"ResourceNotFoundException":              "BUDGET_TABLE",
		"ValidationException":                    "partition key",
		"UnrecognizedClientException":            "credentials",
	} {
		for _, failing := range []string{"GetItem", "UpdateItem"} {
			w := &dynamotest.Wire{Play: func(op string, _ int, send func() (*http.Response, error)) (
				*http.Response, error,
			) {
				if op == failing {
					return answer(http.StatusBadRequest, code), nil
				}
				if op == "GetItem" {
					return empty(), nil
				}
				return send()
			}}
			d, err := newCounter("no-such-table", w).Lease(t.Context(), budget, "a", start)
			if err == nil || d.Allowed {
				t.Fatalf("%s: got %+v, %v", code, d, err)
			}
			for _, word := range []string{want, "no-such-table", budget.Name, code} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%s: %q is not in: %v", code, word, err)
				}
			}
			if sent := w.Count(failing); sent > 3 {
				t.Errorf("%s: %s was sent %d times", code, failing, sent)
			}
		}
	}
}

// empty returns the answer to a GetItem that found nothing.
func empty() *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{},
		Body: io.NopCloser(bytes.NewReader([]byte("{}")))}
}

func TestMissingTable(t *testing.T) {
	_, err := newCounter("no-such-table", &dynamotest.Wire{}).Lease(t.Context(), budget, "a", start)
	if err == nil || !strings.Contains(err.Error(), "BUDGET_TABLE") {
		t.Errorf("got %v", err)
	}
}

// A lease survives a short throttle.
func TestThrottledOnce(t *testing.T) {
	c := newCounter(newTable(t), &dynamotest.Wire{Play: func(_ string, nth int,
		send func() (*http.Response, error),
	) (*http.Response, error) {
		if nth == 1 {
			return answer(http.StatusBadRequest, "ThrottlingException"), nil
		}
		return send()
	}})
	lease(t, c, budget, "a", start, true)
}

// meanwhile calls happen between the first read and the first write.
func meanwhile(happen func()) *dynamotest.Wire {
	return &dynamotest.Wire{Play: func(op string, nth int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == "UpdateItem" && nth == 1 {
			happen()
		}
		return send()
	}}
}

// After a refusal without the item, the counter reads the item again.
func TestRefusalWithoutItem(t *testing.T) {
	table := newTable(t)
	w := &dynamotest.Wire{Play: func(op string, nth int, send func() (*http.Response, error)) (
		*http.Response, error,
	) {
		if op == "UpdateItem" && nth == 1 {
			lease(t, newCounter(table, &dynamotest.Wire{}), budget, "b", start, true)
			return answer(http.StatusBadRequest, "ConditionalCheckFailedException"), nil
		}
		return send()
	}}
	if d := lease(t, newCounter(table, w), budget, "a", start, true); d.Slot != 1 {
		t.Errorf("got slot %d, want 1", d.Slot)
	}
	if reads, writes := w.Count("GetItem"), w.Count("UpdateItem"); reads != 2 || writes != 2 {
		t.Errorf("got %d reads and %d writes, want 2 and 2", reads, writes)
	}
}

// If another worker gets a 429 between our read and our write, the lease is denied.
func TestCooldownInBetween(t *testing.T) {
	table := newTable(t)
	for i, until := range []time.Time{start.Add(time.Minute), start.Add(time.Hour)} {
		w := meanwhile(func() {
			if err := newCounter(table, &dynamotest.Wire{}).CoolDown(t.Context(), budget, until); err != nil {
				t.Error(err)
			}
		})
		now := start.Add(time.Duration(i) * time.Minute) // the second time there is an old cooldown
		d := lease(t, newCounter(table, w), budget, "a", now, false)
		if !d.RetryAt.Equal(until) {
			t.Errorf("got RetryAt %v, want %v", d.RetryAt, until)
		}
	}
}

// Settling a slot that somebody else has leased since changes nothing.
func TestSettlementTooLate(t *testing.T) {
	table := newTable(t)
	c := newCounter(table, &dynamotest.Wire{})
	d := lease(t, c, budget, "a", start, true)
	lease(t, c, budget, "x", start, true)
	late := start.Add(ratelimit.MaxCall + hold)
	w := meanwhile(func() { lease(t, c, budget, "b", late, true) })
	if err := newCounter(table, w).Settle(t.Context(), budget, "a", d.Slot, start); err != nil {
		t.Fatal(err)
	}
	s, err := c.Peek(t.Context(), budget)
	if err != nil || s.Slots[0].Owner != "b" || !s.Slots[0].FreeAt.Equal(late.Add(ratelimit.MaxCall+hold)) {
		t.Errorf("got %+v, %v", s, err)
	}
}

// If every write is refused, the lease fails with ErrContended.
func TestContended(t *testing.T) {
	c := newCounter(newTable(t), &dynamotest.Wire{Play: func(op string, _ int,
		send func() (*http.Response, error),
	) (*http.Response, error) {
		if op == "UpdateItem" {
			return answer(http.StatusBadRequest, "ConditionalCheckFailedException"), nil
		}
		return send()
	}})
	d, err := c.Lease(t.Context(), budget, "a", start)
	if !errors.Is(err, dynamocounter.ErrContended) || d.Allowed {
		t.Errorf("got %+v, %v", d, err)
	}
}

func TestStrangersAreNeverLeased(t *testing.T) {
	s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
	n := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
	good := func() map[string]types.AttributeValue {
		return map[string]types.AttributeValue{"freeAt0": n("1"), "owner0": s("x")}
	}
	tests := map[string]func(item map[string]types.AttributeValue){
		"nothing but its key":   func(it map[string]types.AttributeValue) { clear(it) },
		"a time that is text":   func(it map[string]types.AttributeValue) { it["freeAt0"] = s("1") },
		"a time with a point":   func(it map[string]types.AttributeValue) { it["freeAt0"] = n("1.5") },
		"a time before 1970":    func(it map[string]types.AttributeValue) { it["freeAt0"] = n("-1") },
		"a time in nanoseconds": func(it map[string]types.AttributeValue) { it["freeAt0"] = n("1793696400000000000") },
		"a time that is absent": func(it map[string]types.AttributeValue) { delete(it, "freeAt0") },
		"an owner without name": func(it map[string]types.AttributeValue) { it["owner0"] = s("") },
		"an owner that is gone": func(it map[string]types.AttributeValue) { delete(it, "owner0") },
		"an owner by number":    func(it map[string]types.AttributeValue) { it["owner0"] = n("7") },
		"a slot left out": func(it map[string]types.AttributeValue) {
			it["freeAt2"], it["owner2"] = n("1"), s("z")
		},
		"something else":     func(it map[string]types.AttributeValue) { it["ttl"] = n("1") },
		"a cooldown in text": func(it map[string]types.AttributeValue) { it["cooldownUntil"] = s("soon") },
	}
	table := newTable(t)
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			b := budget
			b.Name = name
			it := good()
			spoil(it)
			it["pk"] = s(b.Name)
			_, err := dynamotest.Client(dynamotest.Direct).PutItem(t.Context(),
				&dynamodb.PutItemInput{TableName: aws.String(table), Item: it})
			if err != nil {
				t.Fatal(err)
			}
			w := &dynamotest.Wire{}
			c := newCounter(table, w)
			d, err := c.Lease(t.Context(), b, "a", start)
			if !errors.Is(err, dynamocounter.ErrStranger) || d.Allowed ||
				!strings.Contains(err.Error(), name) {
				t.Errorf("lease: got %+v, %v", d, err)
			}
			_, err = c.Peek(t.Context(), b)
			if !errors.Is(err, dynamocounter.ErrStranger) {
				t.Errorf("peek: got %v", err)
			}
			if w.Count("UpdateItem") != 0 {
				t.Error("the item was written")
			}
		})
	}
}

// The clock is checked against the answer to the read, so a wrong clock costs no write.
func TestWrongClock(t *testing.T) {
	table := newTable(t)
	for _, off := range []time.Duration{-time.Hour, -2 * time.Second, 3 * time.Second, time.Hour} {
		w := &dynamotest.Wire{}
		now := func() time.Time { return time.Now().Add(off) }
		c := dynamocounter.New(dynamotest.Client(w), table, now)
		d, err := c.Lease(t.Context(), budget, "a", now())
		skewed, ok := errors.AsType[*dynamocounter.SkewError](err)
		if !ok || d.Allowed {
			t.Fatalf("off by %v: got %+v, %v", off, d, err)
		}
		if (skewed.Skew > 0) != (off > 0) || (skewed.Skew-off).Abs() > 1500*time.Millisecond {
			t.Errorf("off by %v, got %v", off, skewed.Skew)
		}
		if err := c.Settle(t.Context(), budget, "a", 0, now()); err == nil {
			t.Error("settled a slot with a wrong clock")
		}
		if w.Count("UpdateItem") != 0 {
			t.Error("something was written")
		}
		if err := c.CoolDown(t.Context(), budget, now()); err != nil {
			t.Errorf("a cooldown: %v", err)
		}
	}
}

// An operation without an answer ends with the caller's context.
func TestNoAnswer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := newCounter("x", &dynamotest.Wire{Play: func(string, int, func() (*http.Response, error)) (
		*http.Response, error,
	) {
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	_, err := c.Lease(ctx, budget, "a", start)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestCertainSkew(t *testing.T) {
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tests := []struct {
		name                 string
		sent, date, received int // milliseconds
		want                 time.Duration
	}{
		{"within the second", 100, 0, 200, 0},
		{"a whole second", 0, 0, 999, 0},
		{"across the turn of a second", 990, 1000, 1010, 0},
		{"exactly at the end of the second", 1000, 0, 1050, 0},
		{"ahead", 1300, 0, 1400, 300 * time.Millisecond},
		{"far ahead", 11_000, 0, 11_001, 10 * time.Second},
		{"behind", 500, 1000, 700, -300 * time.Millisecond},
		{"far behind", 0, 10_000, 1, -9999 * time.Millisecond},
		{"a slow answer hides a clock behind", 0, 1000, 1000, 0},
		{"a slow answer hides a clock ahead", 900, 0, 5000, 0},
		{"our clock was set back during the call", 900, 1000, 100, -900 * time.Millisecond},
	}
	for _, tt := range tests {
		if got := dynamocounter.CertainSkew(at(tt.sent), at(tt.date), at(tt.received)); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// CertainSkew never exceeds the true skew, for any phase of the second and any latency. It always finds a
// clock that is off by more than a second plus the latency.
func FuzzCertainSkew(f *testing.F) {
	f.Add(int64(0), uint16(0), uint16(10), uint16(10))
	f.Add(int64(-3000), uint16(999), uint16(0), uint16(500))
	f.Add(int64(260), uint16(1), uint16(3000), uint16(0))
	f.Fuzz(func(t *testing.T, skewMS int64, phase, out, back uint16) {
		const day = 24 * 60 * 60 * 1000
		skew := time.Duration(skewMS%day) * time.Millisecond
		there, home := time.Duration(out)*time.Millisecond, time.Duration(back)*time.Millisecond
		answered := start.Add(time.Duration(phase%1000) * time.Millisecond)
		got := dynamocounter.CertainSkew(answered.Add(skew-there), answered.Truncate(time.Second),
			answered.Add(skew+home))
		if got.Abs() > skew.Abs() || (got != 0 && (got > 0) != (skew > 0)) {
			t.Errorf("the clock is off by %v, got %v", skew, got)
		}
		if got == 0 && skew.Abs() > time.Second+there+home {
			t.Errorf("the clock is off by %v, got 0", skew)
		}
	})
}
