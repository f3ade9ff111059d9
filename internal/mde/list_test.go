package mde_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

// idOf makes the id of the nth action.
func idOf(n int) string { return fmt.Sprintf("%08x-c6ed-44ed-bb04-f1e3f160eff4", n) }

// rowOf is the nth action as the API writes it, n minutes after noon.
func rowOf(n int) map[string]any {
	return map[string]any{
		"id": idOf(n), "type": "CollectInvestigationPackage", "status": "Succeeded",
		"machineId": machine, "computerDnsName": "pc.contoso.com", "requestor": "a@contoso.com",
		"requestorComment": "why", "requestSource": "PublicApi", "title": nil, "errorHResult": 0,
		"creationDateTimeUtc":   noon.Add(time.Duration(n) * time.Minute).Format(time.RFC3339),
		"lastUpdateDateTimeUtc": noon.Add(time.Duration(n+5) * time.Minute).Format(time.RFC3339Nano),
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// list is a list API over rows, newest first.
type list struct {
	t        *testing.T
	rows     []map[string]any
	pageMax  int    // most rows per page; 0 = as requested
	nextLink string // before "?$skip=n"; empty = none
	deaf     bool   // ignores $skip
	grow     func(l *list)
	calls    int
}

func (l *list) RoundTrip(req *http.Request) (*http.Response, error) {
	l.calls++
	query := req.URL.Query()
	if got := req.URL.Path; got != "/api/machineactions" {
		l.t.Errorf("path %s", got)
	}
	size, err := strconv.Atoi(query.Get("$top"))
	if err != nil || size > 10_000 {
		l.t.Errorf("$top=%s", query.Get("$top"))
	}
	if l.pageMax > 0 {
		size = min(size, l.pageMax)
	}
	skip, _ := strconv.Atoi(query.Get("$skip"))
	if l.deaf {
		skip = 0
	}
	rows := l.rows[min(skip, len(l.rows)):]
	rows = rows[:min(size, len(rows))]
	page := map[string]any{"value": append([]map[string]any{}, rows...)}
	if end := skip + len(rows); l.nextLink != "" && end < len(l.rows) {
		page["@odata.nextLink"] = fmt.Sprintf("%s?$top=%d&$skip=%d", l.nextLink, size, end)
	}
	if l.grow != nil {
		l.grow(l)
	}
	return reply(200, jsonOf(l.t, page)), nil
}

func newest(n int) []map[string]any {
	var rows []map[string]any
	for i := range n {
		rows = append(rows, rowOf(n-1-i))
	}
	return rows
}

func idsOf(actions []investigation.Action) []string {
	var ids []string
	for _, a := range actions {
		ids = append(ids, a.ActionID)
	}
	slices.Sort(ids)
	return ids
}

func wantIDs(from, to int) []string {
	var ids []string
	for n := from; n < to; n++ {
		ids = append(ids, idOf(n))
	}
	return ids
}

func TestListAsksForWhatItNeeds(t *testing.T) {
	var queries []string
	client := newClient(t, transports{lister: tripper(func(req *http.Request) (*http.Response, error) {
		queries = append(queries, req.URL.RawQuery)
		if req.Method != http.MethodGet || req.URL.Host != "api.security.microsoft.com" {
			t.Errorf("got %s %s", req.Method, req.URL)
		}
		if got := req.URL.Query().Get("$filter"); got !=
			"type eq 'CollectInvestigationPackage' and creationDateTimeUtc ge 2026-11-23T12:00:00Z" {
			t.Errorf("$filter=%s", got)
		}
		return reply(200, `{"value":[]}`), nil
	})})
	since := noon.Add(700 * time.Millisecond).In(time.FixedZone("", 7200))
	actions, skipped, err := client.ListAll(t.Context(), since)
	if err != nil || len(actions) != 0 || len(skipped) != 0 {
		t.Errorf("got %v, %v, %v of an empty tenant", actions, skipped, err)
	}
	if len(queries) != 1 || strings.ContainsAny(queries[0], "+ ") {
		t.Errorf("queries %q: want one, with blanks as %%20", queries)
	}
}

func TestListPages(t *testing.T) {
	const api = "https://api.security.microsoft.com"
	for name, tt := range map[string]struct {
		list  list
		calls int
	}{
		// Without links, one more call finds the end.
		"one page":          {list{rows: newest(3)}, 2},
		"full page":         {list{rows: newest(mde.PageRows)}, 2},
		"skip":              {list{rows: newest(mde.PageRows + 7)}, 3},
		"short pages":       {list{rows: newest(7), pageMax: 2}, 5},
		"links":             {list{rows: newest(7), pageMax: 2, nextLink: api + "/api/machineactions"}, 4},
		"links with a port": {list{rows: newest(7), pageMax: 2, nextLink: "https://API.security.microsoft.com:443/api/machineactions"}, 4},
		"relative links":    {list{rows: newest(7), pageMax: 2, nextLink: "/api/machineactions"}, 4},
		"$skip is ignored":  {list{rows: newest(7), deaf: true}, 2},
		"the tenant is growing": {list{rows: newest(7), pageMax: 3, grow: func(l *list) {
			l.rows = append([]map[string]any{rowOf(100 + l.calls)}, l.rows...)
		}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tt.list.t = t
			want := wantIDs(0, len(tt.list.rows))
			if tt.list.grow != nil {
				grow := tt.list.grow
				tt.list.grow = func(l *list) {
					if l.calls < 3 {
						grow(l)
					}
				}
			}
			actions, skipped, err := newClient(t, transports{lister: &tt.list}).ListAll(t.Context(), noon)
			if err != nil || len(skipped) != 0 {
				t.Fatalf("got skipped %v, error %v", skipped, err)
			}
			if got := idsOf(actions); !slices.Equal(got, want) {
				t.Errorf("got %d actions, want %d", len(got), len(want))
			}
			if tt.calls > 0 && tt.list.calls != tt.calls {
				t.Errorf("%d calls, want %d", tt.list.calls, tt.calls)
			}
		})
	}
}

func TestListRefusesPagesThatLeadAstray(t *testing.T) {
	for name, tt := range map[string]struct {
		nextLink string
		calls    int
	}{
		"another host":  {"https://attacker.example/api/machineactions?$skip=1", 1},
		"a look-alike":  {"https://api.security.microsoft.com.attacker.example/api/machineactions", 1},
		"another port":  {"https://api.security.microsoft.com:8443/api/machineactions?$skip=1", 1},
		"clear text":    {"http://api.security.microsoft.com/api/machineactions?$skip=1", 1},
		"user":          {"https://api.security.microsoft.com@attacker.example/api/machineactions", 1},
		"another path":  {"https://api.security.microsoft.com/login?$skip=1", 1},
		"climbing path": {"https://api.security.microsoft.com/api/../login?$skip=1", 1},
		"escaped climb": {"https://api.security.microsoft.com/api/%2e%2e/login?$skip=1", 1},
		"no scheme":     {"//attacker.example/api/machineactions?$skip=1", 1},
		"no URL":        {"https://[::1", 1},
		"a circle":      {"https://api.security.microsoft.com/api/machineactions?$skip=1", 2},
		"far too long":  {"https://api.security.microsoft.com/api/?" + strings.Repeat("a", 9000), 1},
		"no end":        {"", mde.ListingPagesMax + 1},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			client := newClient(t, transports{lister: tripper(func(*http.Request) (*http.Response, error) {
				calls++
				next := tt.nextLink
				if next == "" {
					next = fmt.Sprintf("https://api.security.microsoft.com/api/machineactions?n=%d", calls)
				}
				return reply(200, jsonOf(t, map[string]any{
					"value": []any{rowOf(calls)}, "@odata.nextLink": next,
				})), nil
			})})
			_, _, err := client.ListAll(t.Context(), noon)
			if err == nil || calls != tt.calls {
				t.Errorf("got %v after %d calls, want an error after %d", err, calls, tt.calls)
			}
		})
	}
}

func TestListDetectsARepeatedPage(t *testing.T) {
	l := &list{t: t, rows: newest(mde.PageRows), deaf: true}
	_, _, err := newClient(t, transports{lister: l}).ListAll(t.Context(), noon)
	if err == nil || l.calls != 2 {
		t.Errorf("got %v after %d calls, want an error after 2", err, l.calls)
	}
}

func TestListFailsWhole(t *testing.T) {
	for name, body := range map[string]string{
		"web page":     "<html>Sign in</html>",
		"nothing":      "",
		"no value":     `{"@odata.count":0}`,
		"null value":   `{"value":null}`,
		"other value":  `{"value":"x"}`,
		"broken off":   `{"value":[{"id":"`,
		"nextLink":     `{"value":[],"@odata.nextLink":7}`,
		"too many":     `{"value":[` + strings.Repeat("0,", 10_000) + `0]}`,
		"just a value": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{lister: always(200, body)})
			actions, _, err := client.ListAll(t.Context(), noon)
			if err == nil || len(actions) != 0 {
				t.Errorf("got %v, %v, want an error", actions, err)
			}
		})
	}
}

func TestListSkipsMalformedRows(t *testing.T) {
	other := rowOf(1)
	other["type"] = "Isolate"
	alien := map[string]any{"type": "RequestSample", "id": 5}
	older := rowOf(2)
	older["creationDateTimeUtc"] = noon.Add(-time.Millisecond).Format(time.RFC3339Nano)
	again := rowOf(3)
	again["status"] = "InProgress"
	rows := []any{
		other, alien, older, again, rowOf(3), nil, "text", 7, []any{}, map[string]any{},
		with(rowOf(4), "id", "../../etc/passwd"),
		with(rowOf(5), "id", 5),
		with(rowOf(6), "machineId", nil),
		with(rowOf(7), "machineId", "pc.contoso.com"),
		with(rowOf(8), "creationDateTimeUtc", nil),
		with(rowOf(9), "creationDateTimeUtc", "yesterday"),
		with(rowOf(10), "creationDateTimeUtc", "0001-01-01T00:00:00Z"),
		with(rowOf(11), "status", []int{1}),
		with(rowOf(12), "type", 7),
		with(rowOf(13), "creationDateTimeUtc", "9999-12-31T23:59:59-01:00"), // year 10000 in UTC
		with(rowOf(14), "creationDateTimeUtc", "0000-01-01T00:00:00Z"),
	}
	body := jsonOf(t, map[string]any{"value": rows})
	client := newClient(t, transports{lister: always(200, body)})
	actions, skipped, err := client.ListAll(t.Context(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(actions) != 1 || actions[0].ActionID != idOf(3) ||
		actions[0].Status != investigation.StatusSucceeded {
		t.Errorf("got %+v, want one action in its latest version", actions)
	}
	const senseless = 16 // rows; the page comes twice because this fake ignores $skip
	if len(skipped) != 2*senseless {
		t.Errorf("got %d skipped rows, want twice %d: %v", len(skipped), senseless, skipped)
	}
	for _, err := range skipped {
		if len(err.Error()) > 500 || strings.Contains(err.Error(), "\n") {
			t.Errorf("error too long or not on one line: %v", err)
		}
	}
}

func with(row map[string]any, name string, value any) map[string]any {
	row[name] = value
	return row
}

func TestDecodeRow(t *testing.T) {
	whole := investigation.Action{
		ID:        investigation.ID{TenantID: tenant, ActionID: idOf(1)},
		MachineID: machine, ComputerDNSName: "pc.contoso.com", Requestor: "a@contoso.com",
		RequestorComment: "why", RequestSource: "PublicApi", Status: "Succeeded",
		CreatedAt: noon.Add(time.Minute), LastUpdatedAt: noon.Add(6 * time.Minute),
	}
	for name, tt := range map[string]struct {
		change func(row map[string]any)
		want   func(a *investigation.Action)
	}{
		"whole": {func(map[string]any) {}, func(*investigation.Action) {}},
		"upper-case ids": {
			func(r map[string]any) {
				r["id"], r["machineId"] = " "+strings.ToUpper(idOf(1))+" ", strings.ToUpper(machine)
			}, func(*investigation.Action) {},
		},
		"40 digits": {
			func(r map[string]any) { r["id"] = "7327B54FD718525CBCA07DACDE913B5AC3C85673" },
			func(a *investigation.Action) { a.ActionID = "7327b54fd718525cbca07dacde913b5ac3c85673" },
		},
		"old name of the last update": {
			func(r map[string]any) {
				r["lastUpdateTimeUtc"] = r["lastUpdateDateTimeUtc"]
				delete(r, "lastUpdateDateTimeUtc")
			}, func(*investigation.Action) {},
		},
		"names in another case": {
			func(r map[string]any) {
				r["ID"], r["machineid"] = r["id"], r["machineId"]
				delete(r, "id")
				delete(r, "machineId")
			}, func(*investigation.Action) {},
		},
		"nulls": {
			func(r map[string]any) {
				for _, name := range []string{"computerDnsName", "requestor", "requestorComment",
					"requestSource", "status", "lastUpdateDateTimeUtc"} {
					r[name] = nil
				}
			},
			func(a *investigation.Action) {
				a.ComputerDNSName, a.Requestor, a.RequestorComment, a.RequestSource = "", "", "", ""
				a.Status, a.LastUpdatedAt = "", time.Time{}
			},
		},
		// The package matters more than its label.
		"labels of another type": {
			func(r map[string]any) {
				r["computerDnsName"], r["requestorComment"] = 7, []string{"why"}
				r["lastUpdateDateTimeUtc"] = true
			},
			func(a *investigation.Action) {
				a.ComputerDNSName, a.RequestorComment, a.LastUpdatedAt = "", "", time.Time{}
			},
		},
		".NET's time that was never set": {
			func(r map[string]any) { r["lastUpdateDateTimeUtc"] = "0001-01-01T00:00:00Z" },
			func(a *investigation.Action) { a.LastUpdatedAt = time.Time{} },
		},
		"unknown status": {
			func(r map[string]any) { r["status"] = "Paused" },
			func(a *investigation.Action) { a.Status = "Paused" },
		},
		"long words": {
			func(r map[string]any) {
				r["requestor"], r["requestorComment"] = strings.Repeat("é", 2000), "x"+strings.Repeat("é", 9000)
			},
			func(a *investigation.Action) {
				a.Requestor = strings.Repeat("é", mde.NameBytesMax/2)
				a.RequestorComment = "x" + strings.Repeat("é", mde.CommentBytesMax/2-1)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			row, want := rowOf(1), whole
			tt.change(row)
			tt.want(&want)
			got, ok, err := mde.DecodeRow(tenant, []byte(jsonOf(t, row)))
			if err != nil || !ok || got != want {
				t.Errorf("got %+v, %t, %v\nwant %+v", got, ok, err, want)
			}
			if !utf8.ValidString(got.RequestorComment) {
				t.Error("the comment was cut in the middle of a letter")
			}
		})
	}
}

// A time that the ledger cannot store is left out and reported; the action stays.
func TestDecodeRowBoundsTimes(t *testing.T) {
	for _, text := range []string{
		"9999-12-31T23:59:59-01:00", // year 10000 in UTC
		"0000-06-01T00:00:00Z", "0001-01-01T00:00:00.1Z", "2015-12-31T23:59:59Z",
	} {
		for _, name := range []string{"lastUpdateDateTimeUtc", "lastUpdateTimeUtc"} {
			row := rowOf(1)
			delete(row, "lastUpdateDateTimeUtc")
			row[name] = text
			a, ok, odd := mde.DecodeRow(tenant, []byte(jsonOf(t, row)))
			if !ok || !a.LastUpdatedAt.IsZero() || a.ActionID != idOf(1) {
				t.Errorf("%s %s: got %+v, %t", name, text, a, ok)
			}
			if odd == nil || !strings.Contains(odd.Error(), "last update is in the year") ||
				!strings.Contains(odd.Error(), idOf(1)) {
				t.Errorf("%s %s: reported %v", name, text, odd)
			}
		}
	}
	row := with(rowOf(1), "creationDateTimeUtc", "9999-12-31T23:59:59-01:00")
	_, ok, err := mde.DecodeRow(tenant, []byte(jsonOf(t, row)))
	if ok || !errors.Is(err, investigation.ErrBadAction) || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("a creation time in the year 10000: got %t, %v", ok, err)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Time{
		"2026-11-23T12:00:00Z":         noon,
		"2026-11-23T12:00:00":          noon,
		"2026-11-23T12:00:00.5Z":       noon.Add(500 * time.Millisecond),
		"2026-11-23T12:00:00.2011911Z": noon.Add(201191100),
		"2026-11-23T12:00:00.93163":    noon.Add(931630 * time.Microsecond),
		"2026-11-23T14:00:00+02:00":    noon,
		" 2026-11-23T12:00:00.0000000": noon,
	} {
		got, err := mde.ParseTime(text)
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now", "2026-11-23", "23.11.2026 12:00", "2026-13-23T12:00:00Z"} {
		if got, err := mde.ParseTime(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, got)
		}
	}
}

func TestGet(t *testing.T) {
	client := newClient(t, transports{lister: tripper(func(req *http.Request) (*http.Response, error) {
		if req.URL.Path != "/api/machineactions/"+idOf(1) {
			return reply(404, `{"error":{"code":"ResourceNotFound","message":"no such action"}}`), nil
		}
		return reply(200, jsonOf(t, rowOf(1))), nil
	})})
	got, err := client.Get(t.Context(), strings.ToUpper(idOf(1)))
	if err != nil || got.ActionID != idOf(1) || got.TenantID != tenant {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = client.Get(t.Context(), idOf(2))
	if refused, ok := errors.AsType[*mde.StatusError](err); !ok || refused.Status != 404 {
		t.Errorf("got %v, want a 404", err)
	}
	_, err = client.Get(t.Context(), "../machines")
	if err == nil {
		t.Error("an invalid id was sent")
	}
}
