package eventbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"packhorse/internal/event"
	"packhorse/internal/event/eventschema"
	"packhorse/internal/eventbus"
	"packhorse/internal/investigation"
)

// bridge takes events, except for the actions it refuses and the requests it fails.
type bridge struct {
	t        *testing.T
	took     []types.PutEventsRequestEntry
	requests int
	refuse   string // an action id
	fail     int    // the nth request, from 1
}

var errDown = errors.New("the bridge is down")

func (b *bridge) PutEvents(_ context.Context, in *eventbridge.PutEventsInput,
	_ ...func(*eventbridge.Options),
) (*eventbridge.PutEventsOutput, error) {
	b.requests++
	if b.requests == b.fail {
		return nil, errDown
	}
	out := &eventbridge.PutEventsOutput{}
	for _, entry := range in.Entries {
		if b.refuse != "" && strings.Contains(*entry.Detail, b.refuse) {
			out.Entries = append(out.Entries, types.PutEventsResultEntry{
				ErrorCode: aws.String("ThrottlingException"), ErrorMessage: aws.String("slow down"),
			})
			continue
		}
		if err := schemas(b.t).Check(*entry.DetailType, []byte(*entry.Detail)); err != nil {
			b.t.Error(err)
		}
		b.took = append(b.took, entry)
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: aws.String("e")})
	}
	return out, nil
}

func schemas(t *testing.T) eventschema.Schemas {
	t.Helper()
	s, err := eventschema.Load("../../docs/events")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const tenantID = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

// record is a record with a sealed manifest.
func record() investigation.Record {
	createdAt := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return investigation.Record{
		Action: investigation.Action{
			ID:        investigation.ID{TenantID: tenantID, ActionID: "5382f7ea-7557-4ab7-9782-d50480024a4e"},
			MachineID: "0123456789abcdef0123456789abcdef01234567",
			CreatedAt: createdAt, LastUpdatedAt: createdAt.Add(9 * time.Minute),
		},
		ManifestKey: "packages/t/m/20260304T050607Z_a.json",
		Seal:        investigation.Seal{Sequence: 7, Digest: strings.Repeat("0f", 32)},
	}
}

func archived() investigation.Record {
	rec := record()
	rec.ArchivedAt = rec.CreatedAt.Add(11 * time.Minute)
	rec.Receipt = investigation.Receipt{
		Bucket: "contoso-evidence", Key: "packages/t/m/20260304T050607Z_a.zip", Size: 5,
		SHA256: strings.Repeat("ab", 32), CRC32C: "yZRlqg==",
	}
	return rec
}

func notCollected() investigation.Record {
	rec := record()
	rec.Reason, rec.Message = investigation.ReasonTimeOut, "Defender gave up"
	rec.ManifestKey = "not-collected/t/m/20260304T050607Z_a.json"
	return rec
}

func someIDs(n int) []investigation.ID {
	var ids []investigation.ID
	for i := range n {
		ids = append(ids, investigation.ID{
			TenantID: tenantID, ActionID: fmt.Sprintf("%040x", i),
		})
	}
	return ids
}

func TestReadyInBatches(t *testing.T) {
	b := &bridge{t: t}
	ids := someIDs(23)
	taken, err := eventbus.New(b, "bus").Ready(t.Context(), ids)
	if err != nil || !slices.Equal(taken, ids) || b.requests != 3 {
		t.Fatalf("took %d in %d requests, %v", len(taken), b.requests, err)
	}
	for i, entry := range b.took {
		var detail event.Work
		if err := json.Unmarshal([]byte(*entry.Detail), &detail); err != nil ||
			detail != event.NewWork(ids[i]) || *entry.Source != event.Source ||
			*entry.DetailType != event.TypeReady || *entry.EventBusName != "bus" {
			t.Errorf("entry %d: %+v, %v", i, entry, err)
		}
	}
}

func TestDecided(t *testing.T) {
	b := &bridge{t: t}
	taken, err := eventbus.New(b, "bus").Decided(t.Context(), someIDs(2))
	if err != nil || !slices.Equal(taken, someIDs(2)) || len(b.took) != 2 ||
		*b.took[1].DetailType != event.TypeDecided {
		t.Errorf("took %v, %+v, %v", taken, b.took, err)
	}
}

// Events that the bus refused are named, and do not stop the others.
func TestPartly(t *testing.T) {
	ids := someIDs(23)
	b := &bridge{t: t, refuse: someIDs(5)[4].ActionID, fail: 2}
	taken, err := eventbus.New(b, "bus").Ready(t.Context(), ids)
	want := slices.Concat(ids[:4], ids[5:10], ids[20:])
	if !slices.Equal(taken, want) {
		t.Errorf("took %v, want %v", taken, want)
	}
	if !errors.Is(err, errDown) || !strings.Contains(err.Error(), someIDs(5)[4].ActionID) ||
		!strings.Contains(err.Error(), "ThrottlingException") {
		t.Errorf("the error does not name both: %v", err)
	}
}

func TestAnnounceTypes(t *testing.T) {
	b := &bridge{t: t}
	_, err := eventbus.New(b, "bus").Announce(t.Context(),
		[]investigation.Record{archived(), notCollected()})
	if err != nil || len(b.took) != 2 || *b.took[0].DetailType != event.TypeArchived ||
		*b.took[1].DetailType != event.TypeNotCollected {
		t.Errorf("got %+v, %v", b.took, err)
	}
}
