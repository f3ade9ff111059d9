package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/investigation"
	"packhorse/internal/memory"
	"packhorse/internal/ratelimit"
	nouns "packhorse/internal/tenant"
)

const tenant = "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11"

// today runs f in a bubble whose clock shows a plausible date: packages do not exist before 2020.
func today(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, time.November, 24, 9, 0, 0, 0, time.UTC)))
		f(t)
	})
}

// world holds all dependencies of a pipeline, in memory.
type world struct {
	*memory.Ledger

	mu      sync.Mutex // guards the fields below
	actions []investigation.Action
	rest    []investigation.Action // shown by the second listing
	listed  int
	list    func(n int) error // result of the nth listing (from 1)
	stored  map[investigation.Key]int
	room    func(size int64) error // result of asking for room
	links   int
	signed  int
	sign    func(n int) error // result of the nth signature (from 1)
	told    []string
	budget  pipeline.Budget // nil: one that nobody spends
}

func newWorld(actions ...investigation.Action) *world {
	return &world{
		Ledger: memory.NewLedger(), actions: actions, stored: map[investigation.Key]int{},
		list: func(int) error { return nil }, room: func(int64) error { return nil }, sign: func(int) error { return nil },
	}
}

// List returns the actions, and the rest with the next call.
func (s *world) List(_ context.Context, at investigation.Listing,
	see func([]investigation.Action, []error) bool,
) (investigation.Listing, error) {
	s.mu.Lock()
	s.listed++
	actions, err := s.actions, s.list(s.listed)
	if at.Pages > 0 {
		actions = s.rest
	}
	s.mu.Unlock() // what is seen is told of
	if err != nil {
		return at, err
	}
	at.Pages++
	at.Done = see(actions, nil) && (len(s.rest) == 0 || at.Pages > 1)
	return at, nil
}

func (s *world) PackageURI(context.Context, string) (
	investigation.Link, investigation.Exchange, error,
) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links++
	return investigation.NewLink("https://host.example/package"), investigation.Exchange{}, nil
}

func (s *world) Open(context.Context, investigation.Link) (investigation.Package, error) {
	return investigation.Package{Size: 4, Body: io.NopCloser(strings.NewReader("pack"))}, nil
}

func (s *world) Look(_ context.Context, _ investigation.Record, key investigation.Key, _ bool) (
	investigation.Found, error,
) {
	return investigation.Found{Free: key}, nil
}

func (s *world) Store(_ context.Context, place investigation.Placement, pkg investigation.Package) (
	investigation.Stored, error,
) {
	body, err := io.ReadAll(pkg.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored[place.Key]++
	return investigation.Stored{Receipt: investigation.Receipt{
		Bucket: "evidence", Key: string(place.Key), Size: int64(len(body)),
		SHA256: strings.Repeat("ab", 32), CRC32C: "AAAAAA==",
	}}, err
}

func (*world) StoreManifest(_ context.Context, key string, _ []byte) (investigation.Placed, error) {
	return investigation.Placed{Key: key}, nil
}

func (*world) StoreSignature(_ context.Context, key string, _ []byte, _ func([]byte) error) (
	investigation.Placed, error,
) {
	return investigation.Placed{Key: key}, nil
}

// Sealer, Outcome and Quarantined return dummy manifests.
func (s *world) Sealer(context.Context, investigation.Collection, investigation.Content) (
	investigation.Sealer, error,
) {
	return s, nil
}

func (*world) Outcome(investigation.Record, investigation.Head) ([]byte, error) {
	return []byte("{}"), nil
}

func (*world) Quarantined(investigation.Record, investigation.Head) ([]byte, error) {
	return []byte("{}"), nil
}

func (*world) Bucket() string { return "evidence" }

func (s *world) Sign(context.Context, []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed++
	return []byte("signed"), s.sign(s.signed)
}

func (*world) Verify(context.Context, []byte, []byte) error { return nil }

func (s *world) Room(_ context.Context, _ investigation.ID, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room(size)
}

// errRefused is an error that only a person can fix.
var errRefused = errors.New("refused")

// tell is a reporter that records one word per event.
func (s *world) tell(words ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, fmt.Sprint(words...))
}

func (*world) Began(string, bool)                              {}
func (s *world) Observed(rec investigation.Record)             { s.tell(rec.State) }
func (s *world) Fetching(investigation.Record)                 { s.tell("claimed") }
func (s *world) Decided(rec investigation.Record)              { s.tell("decided ", rec.State) }
func (s *world) Postponed(_ investigation.Record, cause error) { s.tell("postponed: ", cause) }
func (*world) Budget(string, []time.Time)                      {}
func (*world) Tenants([]nouns.Served)                          {}

func (s *world) Swept(_ string, err error) {
	if err != nil {
		s.tell("sweep failed: ", err)
		return
	}
	s.tell("swept")
}

func (s *world) Queue(_ string, queued int, lastAt time.Time) {
	if queued == 0 {
		s.tell("queued 0")
		return
	}
	s.tell("queued ", queued, " until ", lastAt.Format(time.TimeOnly))
}

func (s *world) Download(_ investigation.Action, _ int64, body io.ReadCloser) io.ReadCloser {
	s.tell("downloading")
	return body
}

// action returns an action with the status, requested age ago.
func action(i int, status investigation.Status, age time.Duration) investigation.Action {
	created := time.Now().UTC().Add(-age)
	return investigation.Action{
		ID:        investigation.ID{TenantID: tenant, ActionID: fmt.Sprintf("%040x", i)},
		MachineID: fmt.Sprintf("%040x", 1000+i), Status: status,
		CreatedAt: created, LastUpdatedAt: created.Add(time.Second),
	}
}

// pipeline returns a pipeline around the world that logs to log.
func (s *world) pipeline(log io.Writer) *pipeline.Pipeline {
	budget := s.budget
	if budget == nil {
		budget = ratelimit.NewGauge(ratelimit.NewMemory(),
			ratelimit.Budget{Name: "links", PerMinute: 2, PerHour: 120})
	}
	return pipeline.New(pipeline.Config{
		Defender: s, Ledger: s.Ledger, Archive: s, Space: s, Custody: s,
		Budget:   budget,
		TenantID: tenant, Lookback: 168 * time.Hour, Every: 10 * time.Second,
		Prefix: "packages/", Lease: time.Minute, NewOwner: func() string { return "owner" },
		Mendable: func(err error) bool { return errors.Is(err, errRefused) },
		Failing:  func(error) {}, Heartbeat: 55 * time.Second, Share: pipeline.NewShare(),
		Reporter: s, Now: time.Now, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

func TestCarriesUntilIdle(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Succeeded", time.Hour), action(2, "Succeeded", time.Hour),
			action(3, "Failed", time.Hour), action(4, "Pending", 2*time.Hour))
		var log bytes.Buffer
		if err := s.pipeline(&log).Run(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if len(s.stored) != 2 || s.links != 2 {
			t.Errorf("got %d packages with %d links, want 2 with 2", len(s.stored), s.links)
		}
		for key, times := range s.stored {
			if times != 1 {
				t.Errorf("%s was stored %d times", key, times)
			}
		}
		decided := 0
		for _, word := range s.told {
			if strings.HasPrefix(word, "decided ") {
				decided++
			}
		}
		if decided != 3 || log.Len() != 0 {
			t.Errorf("told %q, logged %q", s.told, log.String())
		}
	})
}

// A malformed record, present at the start or added later, does not stop other packages. It is logged once
// and returned as the error at the end.
func TestCarriesBesideADamagedRecord(t *testing.T) {
	for name, damageAt := range map[string]int{"before the first sweep": 1, "later": 2} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Succeeded", time.Hour), action(2, "Pending", time.Hour),
				action(3, "Succeeded", time.Hour), action(4, "Failed", time.Hour), action(5, "Pending", 10*time.Minute))
			s.list = func(n int) error {
				if n == damageAt {
					s.Damage(s.actions[1].ID, func(r *investigation.Record) {
						r.ID, r.State, r.Lane = s.actions[1].ID, "nonsense", investigation.LaneLive
					})
				}
				return nil
			}
			var log bytes.Buffer
			err := s.pipeline(&log).Run(t.Context(), true)
			if !errors.Is(err, investigation.ErrBadRecord) || !strings.Contains(err.Error(), s.actions[1].ActionID) {
				t.Errorf("%s: got %v", name, err)
			}
			if len(s.stored) != 2 || strings.Count(strings.Join(s.told, "\n"), "decided ") != 3 {
				t.Errorf("%s: stored %v, told %q", name, s.stored, s.told)
			}
			if n := strings.Count(log.String(), "malformed records"); n < 1 || n > 3 {
				t.Errorf("%s: reported %d times: %s", name, n, log.String())
			}
		})
	}
}

// A tenant with more actions than one sweep lists is not idle until the last action was seen.
func TestIdleWaitsForTheWholeListing(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Failed", time.Hour))
		s.rest = []investigation.Action{action(2, "Succeeded", time.Hour)}
		if err := s.pipeline(io.Discard).Run(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if len(s.stored) != 1 {
			t.Errorf("got %d packages, want the one from the second sweep", len(s.stored))
		}
	})
}

// A waiting action keeps the process running only while it is young.
func TestIdleWaitsForTheYoung(t *testing.T) {
	today(t, func(t *testing.T) {
		s := newWorld(action(1, "Pending", 20*time.Minute))
		began := time.Now()
		if err := s.pipeline(io.Discard).Run(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		if took < 10*time.Minute || took > 10*time.Minute+15*time.Second {
			t.Errorf("it was idle after %v, want 10 minutes and a step", took)
		}
	})
}

// In until-idle mode ten failures in a row end the process; temporary ones do not.
func TestGivesUp(t *testing.T) {
	outage := errors.New("outage")
	for failures, want := range map[int]error{9: nil, 1000: outage} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Pending", 20*time.Minute))
			s.list = func(n int) error {
				if n > 1 && n <= 1+failures {
					return outage
				}
				return nil
			}
			err := s.pipeline(io.Discard).Run(t.Context(), true)
			if !errors.Is(err, want) || (want == nil && err != nil) {
				t.Errorf("after %d failures: got %v, want %v", failures, err, want)
			}
		})
	}
}

// A process that can no longer conclude any action also ends and says why; one that recovers goes on.
func TestGivesUpConcluding(t *testing.T) {
	outage := errors.New("the signing key is gone")
	for failures, want := range map[int]error{6: nil, 1000: outage} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Failed", time.Hour), action(2, "Succeeded", time.Hour))
			s.sign = func(n int) error {
				if n <= failures {
					return outage
				}
				return nil
			}
			began := time.Now()
			err := s.pipeline(io.Discard).Run(t.Context(), true)
			if !errors.Is(err, want) || (want == nil && err != nil) {
				t.Errorf("after %d failures: got %v, want %v", failures, err, want)
			}
			if took := time.Since(began); took > 8*time.Minute {
				t.Errorf("after %d failures: it took %v", failures, took)
			}
			if s.links != 1 {
				t.Errorf("got %d requests for a link", s.links)
			}
		})
	}
}

// An interruption is a clean end, except in until-idle mode.
func TestInterrupted(t *testing.T) {
	for untilIdle, want := range map[bool]error{false: nil, true: pipeline.ErrStopped} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Pending", time.Minute))
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			err := s.pipeline(io.Discard).Run(ctx, untilIdle)
			if !errors.Is(err, want) || (want == nil && err != nil) {
				t.Errorf("until idle %t: got %v, want %v", untilIdle, err, want)
			}
		})
	}
}
