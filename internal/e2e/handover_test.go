package e2e_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"packhorse/internal/event"
	"packhorse/internal/eventbus"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
)

// recorder keeps the events put on the bus.
type recorder struct{ entries []types.PutEventsRequestEntry }

func (r *recorder) PutEvents(_ context.Context, in *eventbridge.PutEventsInput,
	_ ...func(*eventbridge.Options),
) (*eventbridge.PutEventsOutput, error) {
	r.entries = append(r.entries, in.Entries...)
	return &eventbridge.PutEventsOutput{
		Entries: []types.PutEventsResultEntry{{EventId: aws.String("e")}},
	}, nil
}

// The fetch function understands the events that the poll function puts on the bus.
func TestReadyIsUnderstood(t *testing.T) {
	const tenant = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"
	sent := &recorder{}
	id := investigation.ID{TenantID: tenant, ActionID: strings.Repeat("ab", 20)}
	if _, err := eventbus.New(sent, "bus").Ready(t.Context(), []investigation.ID{id}); err != nil {
		t.Fatal(err)
	}
	entry := sent.entries[0]
	envelope := event.Envelope{
		Source: *entry.Source, DetailType: *entry.DetailType, Detail: json.RawMessage(*entry.Detail),
	}
	logger := slog.New(slog.DiscardHandler)
	fetcher := fetch.New(fetch.Config{
		Ledger:   memory.NewLedger(),
		Prefix:   "",
		Lease:    time.Minute,
		Now:      time.Now,
		NewOwner: func() string { return "owner" },
		Logger:   logger,
	})
	tenants := fetch.NewTenants(func(context.Context, string) (fetch.Member, error) {
		return fetch.Member{Open: func() (*fetch.Fetcher, error) { return fetcher, nil }}, nil
	}, time.Now)
	answer, err := fetch.NewHandler(tenants, logger).Handle(t.Context(), envelope)
	// The ledger is empty; that it was asked shows that the event was understood.
	if err != nil || answer.ActionID != id.ActionID ||
		!strings.Contains(answer.Reason, investigation.ErrUnknownAction.Error()) {
		t.Errorf("got %+v, %v", answer, err)
	}
}

// The sample events for the fetch function name an action that the simulated tenant always has,
// with a package that is ready.
func TestEventsAreAboutTheFirstAction(t *testing.T) {
	for _, name := range []string{"fetch-package", "fetch-package-settled", "busted_source", "busted_tenant"} {
		var event struct {
			Detail struct{ TenantID, ActionID string }
		}
		if err := json.Unmarshal([]byte(read(t, "events/"+name+".json")), &event); err != nil {
			t.Fatal(err)
		}
		for _, start := range []time.Time{time.Unix(1_700_000_000, 0), time.Now()} {
			first := mdesim.Scenario(4, 1, start, nil)[0]
			last := first.Steps[len(first.Steps)-1]
			ready := first.CreatedAt.Add(time.Duration(last.After))
			if event.Detail.ActionID != first.ID || last.Status != "Succeeded" || ready.After(start) {
				t.Errorf("%s is about %+v, the first action is %+v", name, event.Detail, first)
			}
		}
		if name != "busted_tenant" && event.Detail.TenantID != mdesim.Defaults().TenantID {
			t.Errorf("%s is about %+v, not about the simulated tenant", name, event.Detail)
		}
	}
}
