package investigation_test

import (
	"testing"

	"packhorse/internal/investigation"
)

// Every pair of states: rows are from, columns are to.
func TestCanBecomeIsThisTable(t *testing.T) {
	const (
		o = false
		X = true
	)
	columns := []investigation.State{
		"", "waiting", "ready", "fetching", "archived", "notCollected", "done",
	}
	table := map[investigation.State][]bool{
		//             ""  wait ready fetch arch notC done
		"":             {o, X, X, o, o, X, o},
		"waiting":      {o, o, X, o, o, X, o},
		"ready":        {o, o, o, X, o, o, o},
		"fetching":     {o, o, X, X, X, X, o},
		"archived":     {o, o, o, o, o, o, X},
		"notCollected": {o, o, o, o, o, o, X},
		"done":         {o, o, o, o, o, o, o},
	}
	states := investigation.States()
	if len(states) != len(columns) || len(table) != len(columns) {
		t.Fatalf("got %d states, want %d", len(states), len(columns))
	}
	for _, from := range states {
		row, known := table[from]
		if !known {
			t.Errorf("state %q is not in the table", from)
			continue
		}
		for i, to := range columns {
			if got := from.CanBecome(to); got != row[i] {
				t.Errorf("%q to %q: got %t, want %t", from, to, got, row[i])
			}
		}
		if from.CanBecome("lost") || investigation.State("lost").CanBecome(from) {
			t.Errorf("%q can become a state that does not exist", from)
		}
	}
}

func TestSettled(t *testing.T) {
	want := map[investigation.State]bool{"archived": true, "notCollected": true, "done": true}
	for _, s := range investigation.States() {
		if got := s.Settled(); got != want[s] {
			t.Errorf("%q: got %t, want %t", s, got, want[s])
		}
	}
}

func TestFinished(t *testing.T) {
	tests := map[investigation.Status]bool{
		"Pending": false, "InProgress": false, "Succeeded": true, "Failed": true, "TimeOut": true,
		"Cancelled": true, "": false, "Timeout": false, "Canceled": false, "succeeded": false,
		"AwaitingApproval": false,
	}
	for status, want := range tests {
		if got := status.Finished(); got != want {
			t.Errorf("%q: got %t, want %t", status, got, want)
		}
	}
}
