package mdesim

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Kind is a kind of call.
type Kind string

// The kinds of calls.
const (
	KindToken      Kind = "token"
	KindList       Kind = "list"
	KindGet        Kind = "get"
	KindPackageURI Kind = "getPackageUri"
	KindCollect    Kind = "collectInvestigationPackage"
	KindCancel     Kind = "cancel"
	KindDownload   Kind = "download"
)

// rulesMax bounds the broken rules kept: a hundred are enough to see what is wrong.
const rulesMax = 100

// call is one call the judge saw.
type call struct {
	actionID string
	at       time.Time
	status   int
}

// Judge records what clients do and which rules they break. It is safe for concurrent use.
type Judge struct {
	config Config

	mu     sync.Mutex // guards the fields below
	calls  map[Kind][]call
	broken []string
	leaks  int
	served map[string]*Served
}

// Served is a package that was downloaded completely.
type Served struct {
	ActionID string `json:"actionId"`
	Size     int64  `json:"size"` // bytes
	SHA256   string `json:"sha256"`
	Times    int    `json:"times"` // complete downloads
}

// Verdict summarizes what the judge saw.
type Verdict struct {
	Calls              map[Kind]int   `json:"calls"`
	Refused            map[Kind]int   `json:"refused"` // calls answered with 4xx or 5xx
	Throttled          int            `json:"throttled"`
	MostInAnyMinute    int            `json:"mostInAnyMinute"` // getPackageUri calls
	MostInAlignedMin   int            `json:"mostInAlignedMinute"`
	MostInAnyHour      int            `json:"mostInAnyHour"`
	MostInAlignedHour  int            `json:"mostInAlignedHour"`
	PackageURIByAction map[string]int `json:"packageUriByAction"`
	Leaks              int            `json:"leaks"` // tokens and cookies sent to the wrong place
	BrokenRules        []string       `json:"brokenRules"`
	Served             []Served       `json:"served"` // completely
}

func newJudge(config Config) *Judge {
	return &Judge{config: config, calls: map[Kind][]call{}, served: map[string]*Served{}}
}

// Verdict summarizes the calls so far.
func (j *Judge) Verdict() Verdict {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := Verdict{
		Calls: map[Kind]int{}, Refused: map[Kind]int{}, PackageURIByAction: map[string]int{},
		Leaks: j.leaks, BrokenRules: slices.Clone(j.broken), Served: []Served{},
	}
	for kind, calls := range j.calls {
		v.Calls[kind] = len(calls)
		for _, c := range calls {
			if c.status >= http.StatusBadRequest {
				v.Refused[kind]++
			}
			if c.status == http.StatusTooManyRequests {
				v.Throttled++
			}
		}
	}
	var instants []time.Time
	for _, c := range j.calls[KindPackageURI] {
		instants = append(instants, c.at)
		v.PackageURIByAction[c.actionID]++
	}
	v.MostInAnyMinute = MostIn(instants, time.Minute)
	v.MostInAlignedMin = MostInAligned(instants, time.Minute)
	v.MostInAnyHour = MostIn(instants, time.Hour)
	v.MostInAlignedHour = MostInAligned(instants, time.Hour)
	for _, id := range slices.Sorted(maps.Keys(j.served)) {
		v.Served = append(v.Served, *j.served[id])
	}
	return v
}

// called records a call and its status.
func (j *Judge) called(kind Kind, actionID string, at time.Time, status int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls[kind] = append(j.calls[kind], call{actionID, at, status})
}

// allows reports whether one more call of a kind is within its limits now. Calls answered with 429
// do not count.
func (j *Judge) allows(kind Kind, now time.Time) bool {
	limits := j.config.ListLimits
	if kind == KindPackageURI {
		limits = j.config.PackageURILimits
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var sliding, aligned, slidingHour, alignedHour int
	for _, c := range slices.Backward(j.calls[kind]) {
		if now.Sub(c.at) >= time.Hour && c.at.Before(now.Truncate(time.Hour)) {
			break
		}
		if c.status == http.StatusTooManyRequests {
			continue
		}
		sliding += one(now.Sub(c.at) < time.Minute)
		aligned += one(!c.at.Before(now.Truncate(time.Minute)))
		slidingHour += one(now.Sub(c.at) < time.Hour)
		alignedHour += one(!c.at.Before(now.Truncate(time.Hour)))
	}
	return sliding < limits.PerMinute && aligned < limits.PerMinute &&
		slidingHour < limits.PerHour && alignedHour < limits.PerHour
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// broke records a broken rule.
func (j *Judge) broke(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.broken) < rulesMax {
		j.broken = append(j.broken, fmt.Sprintf(format, args...))
	}
}

// leaked records a credential sent to the wrong place.
func (j *Judge) leaked(where string) {
	j.mu.Lock()
	j.leaks++
	j.mu.Unlock()
	j.broke("a credential was sent to %s", where)
}

// finished records a complete download.
func (j *Judge) finished(a *action) {
	sum := a.pkg.sha256()
	j.mu.Lock()
	defer j.mu.Unlock()
	s, ok := j.served[a.ID]
	if !ok {
		s = &Served{ActionID: a.ID, Size: a.pkg.size, SHA256: sum}
		j.served[a.ID] = s
	}
	s.Times++
}

// requestsKey is the context key of the number of requests that a connection has carried.
type requestsKey struct{}

// countRequests is used as http.Server.ConnContext.
func countRequests(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, requestsKey{}, new(atomic.Int32))
}

// checkFresh records a broken rule if a budgeted call arrived on a reused connection: Go retries a
// GET when such a connection dies, and then one lease would cover two calls.
func (j *Judge) checkFresh(kind Kind, r *http.Request) {
	requests, ok := r.Context().Value(requestsKey{}).(*atomic.Int32)
	if ok && requests.Add(1) > 1 && kind == KindPackageURI {
		j.broke("getPackageUri was called on a connection that was used before")
	}
}
