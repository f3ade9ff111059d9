package mde_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

// written is a response generated while it is read, row by row.
type written struct {
	row  func(n int) string
	rows int
	made int // rows so far
	left bytes.Buffer
}

func (w *written) Read(p []byte) (int, error) {
	for w.left.Len() == 0 && w.made <= w.rows {
		switch {
		case w.made == 0:
			w.left.WriteString(`{"value":[` + w.row(0))
		case w.made < w.rows:
			w.left.WriteString("," + w.row(w.made))
		default:
			w.left.WriteString("]}")
		}
		w.made++
	}
	return w.left.Read(p) // io.EOF once it is empty
}

func (w *written) Close() error { return nil }

// pages answers the first calls with one page each, and all later calls with an empty page.
func pages(all ...*written) tripper {
	calls := 0
	return func(*http.Request) (*http.Response, error) {
		calls++
		resp := reply(200, `{"value":[]}`)
		if calls <= len(all) {
			resp.Body, resp.ContentLength = all[calls-1], -1
		}
		return resp, nil
	}
}

func withComment(t *testing.T, n, size int) string {
	return jsonOf(t, with(rowOf(n), "requestorComment", strings.Repeat("x", size)))
}

// Even the longest page is never held whole: rows are handed over while it arrives.
func TestListHoldsABatch(t *testing.T) {
	const rows, size = 1_500, 12_500
	page := &written{rows: rows, row: func(n int) string { return withComment(t, n, size) }}
	client := newClient(t, transports{lister: pages(page)})
	handed, batches := 0, 0
	at := investigation.NewListing(noon)
	for !at.Done {
		var err error
		at, err = client.List(t.Context(), at, func(batch []investigation.Action, _ []error) bool {
			held := 0
			for _, a := range batch {
				held += len(a.RequestorComment)
			}
			if held > mde.BatchBytesMax {
				t.Errorf("a batch of %d actions holds %d bytes", len(batch), held)
			}
			// The rest is in the scanner's buffer.
			if ahead := page.made - handed - len(batch); ahead > 10 {
				t.Errorf("%d rows were read ahead of the reader", ahead)
			}
			handed, batches = handed+len(batch), batches+1
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if handed != rows || batches < 2 {
		t.Errorf("got %d actions in %d batches", handed, batches)
	}
}

// An action does not keep its source row alive.
func TestListKeepsOnlyWhatIsUsed(t *testing.T) {
	const rows, size = 200, 100_000
	page := &written{rows: rows, row: func(n int) string { return withComment(t, n, size) }}
	before := heap()
	actions, _, err := newClient(t, transports{lister: pages(page)}).ListAll(t.Context(), noon)
	if err != nil || len(actions) != rows {
		t.Fatalf("got %d actions, %v", len(actions), err)
	}
	if grown := heap() - before; grown > 5<<20 {
		t.Errorf("%d actions with comments of %d bytes hold %d bytes", rows, mde.CommentBytesMax, grown)
	}
	runtime.KeepAlive(actions)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// An unusable row does not affect the others, whatever is wrong with it.
func TestListSurvivesRows(t *testing.T) {
	for name, row := range map[string]string{
		"far too long":      withComment(t, 7, 3*mde.ActionBytesMax),
		"not JSON":          `{"id":bad,,}`,
		"not balanced":      `{"id":[}]`,
		"half a number":     `-`,
		"bad escape":        `"\x"`,
		"a quote in quotes": `"a\"],[\\"`,
		"nothing":           ``,
		"year 10000":        jsonOf(t, with(rowOf(7), "creationDateTimeUtc", "9999-12-31T23:59:59-01:00")),
	} {
		t.Run(name, func(t *testing.T) {
			page := &written{rows: 5, row: func(n int) string {
				if n == 2 {
					return row
				}
				return jsonOf(t, rowOf(n))
			}}
			actions, odd, err := newClient(t, transports{lister: pages(page)}).ListAll(t.Context(), noon)
			want := []string{idOf(0), idOf(1), idOf(3), idOf(4)}
			if got := idsOf(actions); err != nil || !slices.Equal(got, want) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
			if len(odd) != 1 || len(odd[0].Error()) > 500 {
				t.Errorf("reported %v", odd)
			}
		})
	}
}

// Rows received before a response breaks off are handed over.
func TestListHandsOverRowsBeforeAnError(t *testing.T) {
	whole := `{"value":[` + jsonOf(t, rowOf(0)) + `,` + jsonOf(t, rowOf(1)) + `,`
	for name, body := range map[string]io.Reader{
		"broken off":      strings.NewReader(whole + `{"id":"`),
		"connection lost": io.MultiReader(strings.NewReader(whole), broken{}),
		"something after": strings.NewReader(strings.TrimSuffix(whole, ",") + `]}{}`),
		"no comma":        strings.NewReader(strings.TrimSuffix(whole, ",") + ` 7]}`),
		"too many rows":   strings.NewReader(whole + strings.Repeat("0,", 10_000) + `0]}`),
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{lister: tripper(func(*http.Request) (*http.Response, error) {
				resp := reply(200, "")
				resp.Body, resp.ContentLength = io.NopCloser(body), -1
				return resp, nil
			})})
			actions, _, err := client.ListAll(t.Context(), noon)
			if got := idsOf(actions); err == nil || !slices.Equal(got, wantIDs(0, 2)) {
				t.Errorf("got %v, %v, want both actions and an error", got, err)
			}
		})
	}
	t.Run("second page", func(t *testing.T) {
		calls := 0
		client := newClient(t, transports{lister: tripper(func(*http.Request) (*http.Response, error) {
			calls++
			if calls == 2 {
				return reply(503, ""), nil
			}
			return reply(200, jsonOf(t, map[string]any{"value": newest(3)})), nil
		})})
		actions, _, err := client.ListAll(t.Context(), noon)
		if err == nil || len(actions) != 3 {
			t.Errorf("got %v, %v, want the first page and an error", actions, err)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// A listing too long for one List call continues with the next.
func TestListGoesOn(t *testing.T) {
	const api = "https://api.security.microsoft.com/api/machineactions"
	for name, l := range map[string]*list{
		"links":    {rows: newest(80), pageMax: 2, nextLink: api},
		"no links": {rows: newest(80), pageMax: 2},
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			client := newClient(t, transports{lister: l})
			at := investigation.NewListing(noon)
			var ids []string
			for _, calls := range []int{mde.PagesMax, 2 * mde.PagesMax} {
				var err error
				at, err = client.List(t.Context(), at, func(a []investigation.Action, _ []error) bool {
					ids = append(ids, idsOf(a)...)
					return true
				})
				if err != nil || l.calls > calls {
					t.Fatalf("got %v after %d calls", err, l.calls)
				}
				if done := calls > mde.PagesMax; at.Done != done {
					t.Errorf("done after %d calls: %t", l.calls, at.Done)
				}
			}
			slices.Sort(ids)
			if !slices.Equal(ids, wantIDs(0, 80)) {
				t.Errorf("got %d actions, want each of 80 once", len(ids))
			}
		})
	}
}

// Rows that see does not take come again, and no row is lost.
func TestListStopsWhenSeeDoes(t *testing.T) {
	var all []*written
	for range 9 {
		all = append(all, &written{rows: 3_000, row: func(n int) string { return withComment(t, n, 4096) }})
	}
	var skipped []string
	inner := pages(all...)
	client := newClient(t, transports{lister: tripper(func(req *http.Request) (*http.Response, error) {
		skipped = append(skipped, req.URL.Query().Get("$skip"))
		return inner(req)
	})})
	taken := 0
	at, err := client.List(t.Context(), investigation.NewListing(noon),
		func(a []investigation.Action, _ []error) bool {
			if taken > 0 {
				return false
			}
			taken = len(a)
			return true
		})
	if err != nil || at.Done || at.Rows != taken || taken == 0 || taken == 3_000 {
		t.Fatalf("got %+v, %v, and %d actions were taken", at, err, taken)
	}
	again, err := client.List(t.Context(), at, func([]investigation.Action, []error) bool { return false })
	if err != nil || again != at {
		t.Errorf("after nothing was taken: got %+v, %v, want %+v", again, err, at)
	}
	if want := []string{"", fmt.Sprint(taken)}; !slices.Equal(skipped, want) {
		t.Errorf("asked from %q, want %q", skipped, want)
	}
}

// A page beyond the size limit is read up to the limit; the next call asks for the rest.
func TestListCutsPages(t *testing.T) {
	t.Run("by size", func(t *testing.T) {
		comment := strings.Repeat("x", 1_000_000)
		row := jsonOf(t, with(rowOf(0), "requestorComment", comment))
		rowFrom := func(skip int) func(int) string {
			return func(n int) string { return strings.Replace(row, idOf(0), idOf(skip+n), 1) }
		}
		const rows = 70
		calls := 0
		client := newClient(t, transports{lister: tripper(func(req *http.Request) (*http.Response, error) {
			calls++
			skip, _ := strconv.Atoi(req.URL.Query().Get("$skip"))
			resp := reply(200, `{"value":[]}`)
			if skip < rows {
				resp.Body, resp.ContentLength = &written{rows: rows - skip, row: rowFrom(skip)}, -1
			}
			return resp, nil
		})})
		actions, odd, err := client.ListAll(t.Context(), noon)
		if got := idsOf(actions); err != nil || len(odd) > 0 || !slices.Equal(got, wantIDs(0, rows)) {
			t.Errorf("got %d actions, %v, %v", len(got), odd, err)
		}
		if calls != 3 {
			t.Errorf("%d calls, want 3: two parts of a page and an empty one", calls)
		}
	})
	t.Run("by time", func(t *testing.T) {
		l, now := &list{t: t, rows: newest(30)}, noon
		base, err := url.Parse("https://api.security.microsoft.com")
		if err != nil {
			t.Fatal(err)
		}
		client, err := mde.New(base, tenant, l, forbidden(t), forbidden(t), []string{"a.example"},
			func() time.Time { now = now.Add(mde.PageTimeMax / 10); return now })
		if err != nil {
			t.Fatal(err)
		}
		actions, _, err := client.ListAll(t.Context(), noon)
		if got := idsOf(actions); err != nil || !slices.Equal(got, wantIDs(0, 30)) || l.calls < 4 {
			t.Errorf("got %d actions after %d calls, %v", len(got), l.calls, err)
		}
	})
	t.Run("an endless row", func(t *testing.T) {
		endless := tripper(func(*http.Request) (*http.Response, error) {
			resp := reply(200, "")
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"value":["`), repeat('a')))
			return resp, nil
		})
		_, _, err := newClient(t, transports{lister: endless}).ListAll(t.Context(), noon)
		if err == nil || !strings.Contains(err.Error(), "first row") {
			t.Errorf("got %v", err)
		}
	})
}

// A stored next-page URL is checked before the token is sent there.
func TestListFollowsNoForeignAddress(t *testing.T) {
	at := investigation.NewListing(noon)
	at.Next = "https://attacker.example/api/machineactions"
	client := newClient(t, transports{lister: forbidden(t)})
	_, err := client.List(t.Context(), at, func([]investigation.Action, []error) bool { return true })
	if err == nil {
		t.Error("the foreign address was followed")
	}
}
