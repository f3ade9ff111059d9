package console

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"packhorse/internal/tenant"
)

const (
	// labelMax is the most columns that the name of a tenant takes beside a host.
	labelMax = 16

	// shortTenant is how many characters of an id stand for a tenant without a name.
	shortTenant = 8

	// namesMax is how many failing tenants the status line names on a wide terminal.
	namesMax = 3

	// namesWidth is the width of the terminal, in columns, from which on it names more than one.
	namesWidth = 100
)

// labels say which tenant is meant, by id. They are empty unless there are several.
type labels map[string]string

func labelsOf(all []tenant.Served) labels {
	if len(all) < 2 {
		return nil
	}
	times := map[string]int{}
	for _, t := range all {
		times[labelOf(t)]++
	}
	l := labels{}
	for _, t := range all {
		l[t.ID] = labelOf(t)
		if times[l[t.ID]] > 1 && t.Name != "" {
			l[t.ID] += " " + t.ID[:min(shortTenant, len(t.ID))]
		}
	}
	return l
}

// labelOf returns the tenant's name or, without one, the start of its id.
func labelOf(t tenant.Served) string {
	if t.Name != "" {
		return cut(replace(t.Name, '?'), labelMax, "…")
	}
	return replace(t.ID[:min(shortTenant, len(t.ID))], '?')
}

// before returns what stands before a host of the tenant.
func (l labels) before(tenantID string) string {
	if label := l[tenantID]; label != "" {
		return label + ": "
	}
	return ""
}

// standings are how the tenants of a run stand. The zero standings know none. They are safe for concurrent use.
type standings struct {
	mu      sync.Mutex // guards the fields below
	of      map[string]standing
	tenants []tenant.Served
	labels  labels
}

// serve says which tenants there are from now on.
func (s *standings) serve(all []tenant.Served) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants, s.labels = slices.Clone(all), labelsOf(all)
	served := map[string]standing{}
	for _, t := range all {
		served[t.ID] = s.of[t.ID]
	}
	s.of = served
}

func (s *standings) whose(tenantID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.labels.before(tenantID)
}

// update changes how a tenant stands.
func (s *standings) update(tenantID string, change func(*standing)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, known := s.of[tenantID]
	if !known && len(s.tenants) > 0 {
		return // it is left, and finishes what was under way
	}
	change(&next)
	if s.of == nil {
		s.of = map[string]standing{}
	}
	s.of[tenantID] = next
}

// line says in one line, of at most width columns, how the run stands.
func (s *standings) line(now time.Time, width int, color Color) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tenants) > 1 {
		return s.sum(now, width, color)
	}
	for _, only := range s.of {
		return only.line(now, width, color)
	}
	return standing{}.line(now, width, color)
}

// sum sums the tenants up: how many there are, which of them fail, and what all of them have queued.
func (s *standings) sum(now time.Time, width int, color Color) string {
	queued := 0
	var lastAt, stalest time.Time
	for _, one := range s.of {
		queued += one.queued
		if one.lastAt.After(lastAt) {
			lastAt = one.lastAt
		}
		if swept := one.sweptAt; one.failedAt.IsZero() && !swept.IsZero() && (stalest.IsZero() || swept.Before(stalest)) {
			stalest = swept
		}
	}
	parts := []part{{fmt.Sprintf("%s tenants", thousands(len(s.tenants))), 1}}
	if failing := s.failing(width); failing != "" {
		parts = append(parts, part{color.bad(failing), 0})
	}
	if queued > 0 {
		parts = append(parts, part{thousands(queued) + " queued", 0})
		if left := lastAt.Sub(now); left > 0 {
			parts = append(parts, part{"ETA " + Span(left+half(left)), 2})
		}
	}
	if !stalest.IsZero() {
		parts = append(parts, part{"oldest sweep " + ago(stalest, now), 3})
	}
	return fit(parts, width)
}

// failing says how many tenants fail, and names a few: first those that need a person.
func (s *standings) failing(width int) string {
	var failing []tenant.Served
	for _, t := range s.tenants {
		if t.Failing {
			failing = append(failing, t)
		}
	}
	if len(failing) == 0 {
		return ""
	}
	slices.SortStableFunc(failing, func(a, b tenant.Served) int {
		switch {
		case a.Person == b.Person:
			return 0
		case a.Person:
			return -1
		default:
			return 1
		}
	})
	few := namesMax
	if width < namesWidth {
		few = 1
	}
	var names []string
	for _, t := range failing[:min(few, len(failing))] {
		names = append(names, s.labels[t.ID])
	}
	list := strings.Join(names, ", ")
	if len(failing) > few {
		list += ", …"
	}
	return fmt.Sprintf("%s failing (%s)", thousands(len(failing)), list)
}
