package investigation_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
)

func TestCount(t *testing.T) {
	t.Parallel()
	done := func(key string, reason investigation.Reason, ago time.Duration) investigation.Record {
		return investigation.Record{State: investigation.StateDone, Reason: reason,
			Receipt: investigation.Receipt{Key: key}, AnnouncedAt: filterNow.Add(-ago)}
	}
	got := investigation.Count([]investigation.Record{
		done("k", "", 0), done("k", "", time.Hour), done("k", "", time.Hour+1), done("", investigation.ReasonTimeOut, 0),
		{State: investigation.StateWaiting}, {State: investigation.StateArchived, Receipt: investigation.Receipt{Key: "k"}},
	}, filterNow.Add(-time.Hour))
	want := investigation.Counts{Since: filterNow.Add(-time.Hour), Archived: 2, NotCollected: 1,
		ByState: map[investigation.State]int{investigation.StateDone: 4, investigation.StateWaiting: 1,
			investigation.StateArchived: 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	records := investigation.Filter{}.Select([]investigation.Record{
		filterRecord("1", "fin-2.contoso.com", "Ana@contoso.com", "INC-1", 1, true),
		filterRecord("2", "FIN-2.contoso.com", "ana@contoso.com", "INC-10", 2, true),
		filterRecord("12", "fin-1.contoso.com", "bob@contoso.com", "", 3, false),
		filterRecord("3", "", "", "inc-1", 9, true),
	})
	for _, tt := range []struct {
		asked investigation.Beginning
		want  string
	}{
		{investigation.Beginning{Field: investigation.FieldAction, Limit: 3}, "1 2 12"},
		{investigation.Beginning{Field: investigation.FieldAction, Text: "1", Limit: 3}, "1 12"},
		{investigation.Beginning{Field: investigation.FieldHost, Text: "Fin", Limit: 9}, "fin-1.contoso.com fin-2.contoso.com"},
		{investigation.Beginning{Field: investigation.FieldHost, Text: "aa", Limit: 9}, strings.Repeat("a", 40)},
		{investigation.Beginning{Field: investigation.FieldCase, Text: "iNC", Limit: 9}, "INC-1 INC-10"},
		{investigation.Beginning{Field: investigation.FieldCase, Limit: 1}, "INC-1"},
		{investigation.Beginning{Field: investigation.FieldRequestor, Limit: 9}, "Ana@contoso.com bob@contoso.com"},
		{investigation.Beginning{Field: investigation.FieldRequestor, TenantID: "another", Limit: 9}, ""},
	} {
		var texts []string
		for _, value := range tt.asked.Values(records) {
			texts = append(texts, value.Text)
			if tt.asked.Field.Of(value.Newest) != value.Text {
				t.Errorf("%+v: %q is not in its record", tt.asked, value.Text)
			}
		}
		if got := strings.Join(texts, " "); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.asked, got, tt.want)
		}
	}
}
