package local

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
	conformance "packhorse/internal/conformance/registry"
	"packhorse/internal/entra"
	"packhorse/internal/investigation"
	"packhorse/internal/mde"
	"packhorse/internal/memory"
	"packhorse/internal/roster"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

var errRefused = fmt.Errorf("list: %w", &mde.StatusError{Status: 403})

// job is what the fake line of a tenant does.
type job struct {
	opens error         // why it cannot be opened
	ends  error         // why its work ends at once
	lasts time.Duration // until it is idle, or until what is under way is finished
	fails error         // what it tells of
}

// crewWorld is a crew over a real roster. Its lines are fakes.
type crewWorld struct {
	t        *testing.T
	registry *memory.Registry
	crew     *crew
	log      bytes.Buffer
	logMu    sync.Mutex

	mu      sync.Mutex // guards the fields below
	down    error      // why the registry cannot be read
	jobs    map[string]job
	events  []string // begin, leave and end of the work for tenants
	noted   []string // tenants that could not be opened
	tenants []tenant.Served
}

func (w *crewWorld) Write(p []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.Write(p)
}

func (w *crewWorld) logged() string {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.log.String()
}

// fakeLine is the work for a tenant.
type fakeLine struct {
	world *crewWorld
	job   job
	hand  *hand
	left  chan struct{}
	once  sync.Once
}

func (l *fakeLine) Leave()                   { l.once.Do(func() { close(l.left) }) }
func (l *fakeLine) Standing() entra.Standing { return entra.Standing{} }

func (l *fakeLine) Run(ctx context.Context, untilIdle bool) error {
	name := l.hand.member.Name
	l.world.event("begin " + name)
	defer l.world.event("end " + name)
	if l.job.ends != nil {
		return l.job.ends
	}
	l.hand.failing(l.job.fails)
	var idle <-chan time.Time
	if untilIdle {
		idle = time.After(l.job.lasts)
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return pipeline.Interrupted(untilIdle)
	case <-l.left:
		select {
		case <-time.After(l.job.lasts):
		case <-ctx.Done():
		}
		return nil
	}
}

func (w *crewWorld) event(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, text)
}

// fail makes reading the registry fail, or succeed again.
func (w *crewWorld) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = err
}

func (w *crewWorld) happened() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.Join(w.events, ", ")
	w.events = nil
	return text
}

// newCrewWorld returns a crew for the registry, and for the tenant of the environment if own is set.
func newCrewWorld(t *testing.T, own, untilIdle bool) *crewWorld {
	t.Helper()
	w := &crewWorld{t: t, registry: memory.NewRegistry(), jobs: map[string]job{}}
	environ := map[string]string{
		"DEFENDER_CLIENT_ID": conformance.ID(0xc), "DEFENDER_CLIENT_SECRET": "simulated~Secret.Value-0123456789",
	}
	if own {
		environ["DEFENDER_TENANT_ID"] = conformance.ID(0xf)
	}
	base := settings.CLIBase(environ)
	all, err := roster.New(base, w.registry)
	if err != nil {
		t.Fatal(err)
	}
	w.crew = newCrew(crewConfig{
		ownID: base.OwnID(), untilIdle: untilIdle, reporter: w, now: time.Now, logger: slog.New(slog.NewTextHandler(w, nil)),
		members: func(ctx context.Context) ([]roster.Member, error) {
			w.mu.Lock()
			down := w.down
			w.mu.Unlock()
			if down != nil {
				return nil, down
			}
			return all.All(ctx)
		},
		open: func(_ context.Context, h *hand) (line, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			j := w.jobs[h.member.Name]
			if j.opens != nil {
				return nil, j.opens
			}
			return &fakeLine{world: w, job: j, hand: h, left: make(chan struct{})}, nil
		},
		unopened: func(_ context.Context, id string, _ error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.noted = append(w.noted, id)
		},
	})
	return w
}

// The reporter.
func (w *crewWorld) Tenants(all []tenant.Served) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tenants = all
}

func (w *crewWorld) failing() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, t := range w.tenants {
		if t.Failing {
			names = append(names, fmt.Sprint(t.Name, " ", t.Person))
		}
	}
	return strings.Join(names, ", ")
}

func (*crewWorld) Began(string, bool)                    {}
func (*crewWorld) Swept(string, error)                   {}
func (*crewWorld) Observed(investigation.Record)         {}
func (*crewWorld) Fetching(investigation.Record)         {}
func (*crewWorld) Decided(investigation.Record)          {}
func (*crewWorld) Postponed(investigation.Record, error) {}
func (*crewWorld) Budget(string, []time.Time)            {}
func (*crewWorld) Queue(string, int, time.Time)          {}
func (*crewWorld) Download(_ investigation.Action, _ int64, body io.ReadCloser) io.ReadCloser {
	return body
}

func (w *crewWorld) put(entry tenant.Tenant) tenant.Tenant {
	w.t.Helper()
	entry, err := w.registry.Put(w.t.Context(), entry)
	if err != nil {
		w.t.Fatal(err)
	}
	return entry
}

func (w *crewWorld) add(i int, name string, j job) tenant.Tenant {
	w.t.Helper()
	w.mu.Lock()
	w.jobs[name] = j
	w.mu.Unlock()
	return w.put(tenant.New(tenant.Tenant{ID: conformance.ID(i), Name: name}, time.Now()))
}

// start runs the crew. The returned function interrupts it and returns its error.
func (w *crewWorld) start() (stop func() error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.crew.run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func (w *crewWorld) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// TestCrewFollowsTheRegistry: what changes in the registry takes effect within a minute, and the others do not notice.
func TestCrewFollowsTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrewWorld(t, true, false)
		stop := w.start()
		w.want("at the start", w.happened(), "begin ")
		contoso := w.add(1, "Contoso", job{lasts: 10 * time.Minute})
		time.Sleep(time.Minute)
		w.want("added", w.happened(), "begin Contoso")
		contoso = w.put(contoso.Suspended(time.Now()))
		w.add(2, "Fabrikam", job{})
		time.Sleep(time.Minute)
		w.want("suspended, with work under way", w.happened(), "begin Fabrikam")
		time.Sleep(10 * time.Minute)
		w.want("the work is finished", w.happened(), "end Contoso")
		contoso = w.put(contoso.Resumed(time.Now()))
		time.Sleep(time.Minute)
		w.want("resumed", w.happened(), "begin Contoso")
		changed := contoso
		changed.PerHour = 60
		contoso = w.put(changed)
		time.Sleep(time.Minute)
		w.want("changed", w.happened(), "begin Contoso") // the old work is still under way
		w.fail(errors.New("disk error"))
		if err := w.registry.Delete(t.Context(), contoso); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		w.want("the registry is down", w.happened(), "end Contoso") // the old one
		w.fail(nil)
		time.Sleep(11 * time.Minute)
		w.want("removed", w.happened(), "end Contoso")
		if n := strings.Count(w.logged(), "disk error"); n != 1 {
			t.Errorf("told %d times that the registry is down: %s", n, w.logged())
		}
		if err := stop(); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// TestCrewAlone: a tenant of the environment that is alone ends the run with its error. With others it does not.
func TestCrewAlone(t *testing.T) {
	for _, untilIdle := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newCrewWorld(t, true, untilIdle)
			w.jobs[""] = job{ends: errRefused}
			if err := w.crew.run(t.Context()); !errors.Is(err, errRefused) {
				t.Errorf("alone: got %v", err)
			}
			if w.logged() != "" {
				t.Errorf("alone: logged %s", w.logged())
			}
		})
		synctest.Test(t, func(t *testing.T) {
			w := newCrewWorld(t, true, untilIdle)
			w.jobs[""] = job{ends: errRefused}
			w.add(1, "Contoso", job{lasts: time.Hour})
			stop := w.start()
			time.Sleep(time.Second)
			w.want("with others", w.failing(), " true")
			if !untilIdle {
				time.Sleep(10 * time.Minute)
				if err := stop(); err != nil {
					t.Errorf("with others: got %v", err)
				}
				if n := strings.Count(w.happened(), "begin ,"); n < 8 {
					t.Errorf("tried %d times in 10 minutes", n)
				}
				if n := strings.Count(w.logged(), "WARN"); n != 1 {
					t.Errorf("with others: logged %s", w.logged())
				}
				return
			}
			time.Sleep(2 * time.Hour)
			var unserved *UnservedError
			if err := stop(); !errors.As(err, &unserved) || len(unserved.Reasons) != 1 || unserved.Tenants != 2 ||
				!strings.Contains(err.Error(), conformance.ID(0xf)+": ") {
				t.Errorf("with others, until idle: got %v", err)
			}
		})
	}
}

// TestCrewUntilIdle: the run ends when every tenant's work has ended, and names those for which it failed. A malformed
// entry counts; a suspended tenant does not.
func TestCrewUntilIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrewWorld(t, false, true)
		w.add(1, "Contoso", job{lasts: time.Minute})
		w.add(2, "Fabrikam", job{lasts: 5 * time.Minute})
		w.put(w.add(3, "Resting", job{}).Suspended(time.Now()))
		began := time.Now()
		if err := w.crew.run(t.Context()); err != nil || time.Since(began) != 5*time.Minute {
			t.Errorf("after %v: got %v", time.Since(began), err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newCrewWorld(t, false, true)
		w.add(1, "Contoso", job{lasts: time.Minute})
		w.add(2, "Broken", job{opens: errors.New("the certificate's file is missing")})
		w.add(3, "Refused", job{ends: errRefused})
		w.put(tenant.New(tenant.Tenant{ID: conformance.ID(4), Name: "Malformed", Lookback: time.Hour}, time.Now()))
		err := w.crew.run(t.Context())
		var unserved *UnservedError
		if !errors.As(err, &unserved) || len(unserved.Reasons) != 3 || unserved.Tenants != 4 {
			t.Fatalf("got %v", err)
		}
		for i, want := range []string{"Broken (" + conformance.ID(2) + "): the certificate's", "Refused (", "lookback"} {
			if !strings.Contains(unserved.Reasons[i], want) {
				t.Errorf("got %q, want %q", unserved.Reasons[i], want)
			}
		}
		if !strings.Contains(w.happened(), "end Contoso") || len(w.noted) != 1 || w.noted[0] != conformance.ID(2) {
			t.Errorf("noted %q", w.noted)
		}
	})
}

// TestCrewNamesAFew: each failing tenant is named once; of many, a few are, and the others counted.
func TestCrewNamesAFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newCrewWorld(t, false, false)
		for i := range 12 {
			w.add(i+1, fmt.Sprintf("T%02d", i), job{fails: errors.New("outage")})
		}
		w.add(20, "Healthy", job{})
		w.put(tenant.New(tenant.Tenant{ID: conformance.ID(21), Name: "Malformed", Lookback: time.Hour}, time.Now()))
		stop := w.start()
		time.Sleep(time.Hour)
		if n := strings.Count(w.failing(), "false"); n != 12 || !strings.Contains(w.failing(), " true") {
			t.Errorf("failing: %s", w.failing())
		}
		text := w.logged()
		if n := strings.Count(text, "the tenant fails"); n != namedMax {
			t.Errorf("%d are named: %s", n, text)
		}
		more := 0
		for line := range strings.Lines(text) {
			var n int
			if _, rest, ok := strings.Cut(line, "more tenants fail"); ok {
				_, _ = fmt.Sscanf(rest[strings.Index(rest, "tenants="):], "tenants=%d", &n)
			}
			more += n
		}
		if more != 12-namedMax {
			t.Errorf("%d are counted: %s", more, text)
		}
		if n := strings.Count(text, "lookback"); n != 1 || strings.Contains(text, "Healthy") {
			t.Errorf("logged %s", text)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
