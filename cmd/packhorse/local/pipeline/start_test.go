package pipeline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/investigation"
)

// firstSweep is a beginning that fails for a while.
type firstSweep struct {
	fails   func() error // while failing
	failing int          // number of failing listings
	forGood bool         // run without until-idle
	want    error
	took    time.Duration
	said    int // lines of log
}

func firstSweeps() map[string]firstSweep {
	outage := errors.New("503 Service Unavailable")
	postponed := func(err error) error {
		return &investigation.PostponedError{RetryAt: time.Now().Add(time.Minute), Err: err}
	}
	return map[string]firstSweep{
		"waits for a spent budget": {
			fails: func() error { return postponed(investigation.ErrBudgetSpent) }, failing: 1,
			took: time.Minute, said: 1,
		},
		"rides an outage out": {
			fails: func() error { return outage }, failing: 5,
			took: (5 + 10 + 20 + 40 + 60) * time.Second, said: 5,
		},
		"waits as long as it is asked to": {
			fails: func() error { return postponed(outage) }, failing: 2, took: 2 * time.Minute, said: 2,
		},
		"gives up where nobody watches": {
			fails: func() error { return outage }, failing: 1000, want: outage,
			took: (5 + 10 + 20 + 40 + 5*60) * time.Second, said: 9,
		},
		"never gives up where somebody may": {
			fails: func() error { return outage }, failing: 100, forGood: true,
			took: (5+10+20+40+96*60)*time.Second + time.Hour, said: 100,
		},
		"ends with a refused credential": {
			fails: func() error { return postponed(errRefused) }, failing: 1000, want: errRefused,
		},
		"ends with a credential that is refused when the outage is over": {
			fails: func() func() error {
				listed := 0
				return func() error {
					listed++
					return map[bool]error{true: outage, false: errRefused}[listed == 1]
				}
			}(), failing: 1000, want: errRefused, took: 5 * time.Second, said: 1,
		},
		"goes on with malformed records": {
			fails: func() error { return investigation.ErrBadRecord }, failing: 1,
		},
	}
}

// TestFirstSweep: temporary errors are logged and waited out; errors that only a person can fix end the process.
func TestFirstSweep(t *testing.T) {
	for name, test := range firstSweeps() {
		t.Run(name, func(t *testing.T) {
			today(t, func(t *testing.T) {
				s := newWorld()
				s.list = func(n int) error {
					if n <= test.failing {
						return test.fails()
					}
					return nil
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.forGood {
					time.AfterFunc(test.took, cancel)
				}
				began := time.Now()
				var log bytes.Buffer
				err := s.pipeline(&log).Run(ctx, !test.forGood)
				if !errors.Is(err, test.want) || (test.want == nil && err != nil) {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(began); took < test.took || took > test.took+time.Second {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				if said := strings.Count(log.String(), "trying again"); said != test.said {
					t.Errorf("logged %d retries, want %d: %s", said, test.said, log.String())
				}
			})
		})
	}
}

// TestInterruptedAtTheStart: an interruption while Defender is down is as clean as any other.
func TestInterruptedAtTheStart(t *testing.T) {
	for untilIdle, want := range map[bool]error{false: nil, true: pipeline.ErrStopped} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Succeeded", time.Hour))
			s.list = func(int) error { return errors.New("503 Service Unavailable") }
			ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
			defer cancel()
			err := s.pipeline(io.Discard).Run(ctx, untilIdle)
			if !errors.Is(err, want) || (want == nil && err != nil) {
				t.Errorf("until idle %t: got %v, want %v", untilIdle, err, want)
			}
			if s.links != 0 || s.listed != 2 {
				t.Errorf("until idle %t: %d links, %d listings", untilIdle, s.links, s.listed)
			}
		})
	}
}

// TestFullDisk: while the disk is full Packhorse never requests a link; afterwards each package costs one. A
// package that turns out too big for the disk is not stored and does not count as an attempt.
func TestFullDisk(t *testing.T) {
	for name, full := range map[string]func(size int64) bool{
		"for any package": func(int64) bool { return true },
		"for this one":    func(size int64) bool { return size != investigation.SizeUnknown },
	} {
		today(t, func(t *testing.T) {
			s := newWorld(action(1, "Succeeded", time.Hour), action(2, "Succeeded", time.Hour))
			began := time.Now()
			noRoom := 0
			s.room = func(size int64) error {
				if time.Since(began) > 10*time.Minute || !full(size) {
					return nil
				}
				noRoom++
				if full(investigation.SizeUnknown) && s.links != 0 {
					t.Errorf("%s: got %d requests for a link", name, s.links)
				}
				return &investigation.PostponedError{
					RetryAt: time.Now().Add(time.Minute), Err: errors.New("the disk is full"),
				}
			}
			if err := s.pipeline(io.Discard).Run(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			records, err := s.Records(t.Context(), tenant)
			if err != nil || len(records) != 2 || len(s.stored) != 2 || noRoom < 10 {
				t.Fatalf("%s: got %+v, %d stored, %v; asked for room in vain %d times", name, records,
					len(s.stored), err, noRoom)
			}
			for _, rec := range records {
				if rec.Attempts != 1 || rec.Journal != "" {
					t.Errorf("%s: %d attempts, %q", name, rec.Attempts, rec.Journal)
				}
			}
			told := strings.Join(s.told, "\n")
			if full(investigation.SizeUnknown) && s.links != 2 || !strings.Contains(told, "the disk is full") {
				t.Errorf("%s: %d links, told %q", name, s.links, told)
			}
		})
	}
}
