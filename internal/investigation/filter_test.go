package investigation_test

import (
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

var filterNow = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func filterRecord(id, host, requestor, caseID string, daysAgo int, archived bool) investigation.Record {
	rec := investigation.Record{
		Action: investigation.Action{
			ID: investigation.ID{ActionID: id}, MachineID: strings.Repeat("a", 40), ComputerDNSName: host,
			Requestor: requestor, CaseID: caseID, CreatedAt: filterNow.AddDate(0, 0, -daysAgo),
		},
		State: investigation.StateDone,
	}
	if archived {
		rec.Receipt = investigation.Receipt{Key: "packages/" + id + ".zip", Size: 3 << 20}
	} else {
		rec.Reason = investigation.ReasonTimeOut
	}
	return rec
}

// TestFilter: each field selects, and what is selected comes newest first.
func TestFilter(t *testing.T) {
	t.Parallel()
	records := []investigation.Record{
		filterRecord("3", "fin-ws-17.contoso.com", "a@contoso.com", "INC-1", 1, true),
		filterRecord("1", "fin-ws-17.contoso.com", "a@contoso.com", "INC-1", 9, true),
		filterRecord("2", "Fin-WS-17.contoso.com", "b@contoso.com", "", 5, true),
		filterRecord("4", "fin-ws-17.contoso.com", "b@contoso.com", "INC-2", 0, false),
		filterRecord("5ab", "hr", "a@contoso.com", "", 3, false),
	}
	records[0].TenantID = "t"
	for _, tt := range []struct {
		name   string
		filter investigation.Filter
		want   string
	}{
		{"all", investigation.Filter{}, "4 3 5ab 2 1"},
		{"tenant", investigation.Filter{TenantID: "t"}, "3"},
		{"action", investigation.Filter{ActionID: "5A"}, "5ab"},
		{"full name", investigation.Filter{Machine: "FIN-ws-17.CONTOSO.com"}, "4 3 2 1"},
		{"short name", investigation.Filter{Machine: "fin-ws-17"}, "4 3 2 1"},
		{"part of a name", investigation.Filter{Machine: "fin"}, ""},
		{"machine id", investigation.Filter{Machine: strings.Repeat("A", 40)}, "4 3 5ab 2 1"},
		{"requestor", investigation.Filter{Requestor: "B@contoso.com"}, "4 2"},
		{"case", investigation.Filter{Case: "inc-1"}, "3 1"},
		{"archived", investigation.Filter{State: "archived"}, "3 2 1"},
		{"not collected", investigation.Filter{State: "notCollected"}, "4 5ab"},
		{"reason", investigation.Filter{State: "TimeOut"}, "4 5ab"},
		{"since", investigation.Filter{Since: filterNow.Add(-72 * time.Hour)}, "4 3 5ab"},
		{"until", investigation.Filter{Until: filterNow.AddDate(0, 0, -8)}, "1"},
		{"limit", investigation.Filter{Limit: 2}, "4 3"},
	} {
		var ids []string
		for _, rec := range tt.filter.Select(records) {
			ids = append(ids, rec.ActionID)
		}
		if got := strings.Join(ids, " "); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
