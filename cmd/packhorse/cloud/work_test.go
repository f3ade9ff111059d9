package cloud_test

import (
	"reflect"
	"testing"
	"time"

	"packhorse/cmd/packhorse/cloud"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
)

// What waits for longer than OldestReadyAlarm allows is named, the oldest first, and so is every stranger.
func TestWorkForAPerson(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	record := func(id string, state investigation.State, waits time.Duration) investigation.Record {
		return investigation.Record{
			Action: investigation.Action{ID: investigation.ID{ActionID: id}, LastUpdatedAt: now.Add(-waits)},
			State:  state, Message: "about " + id,
		}
	}
	planted := record("planted", investigation.StateDone, 9*time.Hour)
	planted.Strangers = investigation.Strangers("").Add(
		investigation.Stranger{Key: "packages/a.zip"}, investigation.Stranger{Key: "packages/b.zip"})
	got := cloud.WorkOf([]investigation.Record{
		record("fresh", investigation.StateReady, 6*time.Hour), record("late", investigation.StateReady, 7*time.Hour),
		planted, record("later", investigation.StateFetching, 8*time.Hour),
		record("waiting", investigation.StateWaiting, 99*time.Hour),
	}, now)
	want := doctor.StackWork{
		Records: 5, Strangers: []string{"packages/a.zip", "packages/b.zip"},
		Stuck: []doctor.StackStuck{
			{Action: "later", Message: "about later", Since: now.Add(-8 * time.Hour)},
			{Action: "late", Message: "about late", Since: now.Add(-7 * time.Hour)},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
