package local

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"packhorse/cmd/packhorse/local/pipeline"
	"packhorse/internal/entra"
	"packhorse/internal/roster"
	"packhorse/internal/tenant"
)

const (
	// lookEvery is how often the registry is read. What changes in it takes effect within a minute.
	lookEvery = 10 * time.Second

	// againAfter is how long a tenant whose work has ended with an error is left alone.
	againAfter = time.Minute

	// namedMax bounds the tenants that the log names between two looks. The others are counted.
	namedMax = 5
)

// line is the work for one tenant.
type line interface {
	// Run works until the context ends, the tenant is left or, until idle, nothing is left to do.
	Run(ctx context.Context, untilIdle bool) error
	// Leave makes Run end, once what is under way is finished.
	Leave()
	// Standing returns the proof that Entra ID accepted last.
	Standing() entra.Standing
}

// crewConfig is what a crew works with.
type crewConfig struct {
	ownID string // the tenant of the environment; empty without one

	// members returns the tenants to serve now, as roster.Roster.All does.
	members func(ctx context.Context) ([]roster.Member, error)
	// open opens the work for a tenant. It sends nothing to Defender.
	open func(ctx context.Context, h *hand) (line, error)
	// unopened is told why a tenant could not be opened.
	unopened func(ctx context.Context, tenantID string, err error)

	untilIdle bool
	reporter  Reporter
	now       func() time.Time
	logger    *slog.Logger
}

// crew serves every tenant of the roster, each with a hand of its own: none waits for another.
type crew struct {
	crewConfig

	changed chan struct{} // holds a token if a hand has something to tell

	// Of the loop:
	hands   map[string]*hand         // by tenant
	leaving []*hand                  // of tenants that are left, or served by another hand
	known   map[string]roster.Member // every tenant that was ever served
	bad     map[string]tenant.Served // by what is wrong with the registry now
	told    []tenant.Served          // what the reporter was told last
	named   int                      // tenants that the log named since the last look
	expiry  expiry
	working sync.WaitGroup
}

func newCrew(c crewConfig) *crew {
	return &crew{
		crewConfig: c, changed: make(chan struct{}, 1), hands: map[string]*hand{}, known: map[string]roster.Member{},
	}
}

// run serves the tenants until the context ends or, until idle, nothing is left to do for any of them. A tenant that
// is alone ends the run with its error. Among several, a tenant's failure is in no other's way; until idle, an
// *[UnservedError] names it at the end.
func (c *crew) run(ctx context.Context) error {
	working, stop := context.WithCancel(ctx)
	defer c.working.Wait()
	defer stop()
	c.look(working)
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		alone := c.alone()
		switch {
		case alone != nil && alone.ended():
			return alone.err()
		case alone == nil && c.over():
			return c.unserved()
		}
		c.tell(working)
		select {
		case <-ctx.Done():
			if alone == nil {
				return pipeline.Interrupted(c.untilIdle)
			}
			<-alone.done
		case <-c.changed:
		case <-ticker.C:
			c.look(working)
		}
	}
}

// alone returns the hand of the environment's tenant if there is no other, and nothing else in the registry.
func (c *crew) alone() *hand {
	h := c.hands[c.ownID]
	if len(c.hands) == 1 && len(c.bad) == 0 {
		return h
	}
	return nil
}

// over reports whether, until idle, nothing is left to do.
func (c *crew) over() bool {
	if !c.untilIdle {
		return false
	}
	working := func(h *hand) bool { return !h.ended() }
	return !slices.ContainsFunc(slices.Collect(maps.Values(c.hands)), working) && !slices.ContainsFunc(c.leaving, working)
}

// look reads the registry, and begins and ends the work for tenants.
func (c *crew) look(ctx context.Context) {
	c.named = 0
	all, err := c.members(ctx)
	c.tellBad(ctx, err)
	if err != nil && !errors.Is(err, tenant.ErrInvalid) && len(c.hands) > 0 {
		return // nothing is known about the others
	}
	current := map[string]bool{}
	for _, m := range all {
		id := m.Settings.TenantID
		current[id] = true
		h := c.hands[id]
		if h != nil && h.member.Version == m.Version && !c.again(h) {
			c.expiry.look(ctx, h.standing(), c.now(), h.logger)
			continue
		}
		c.serve(ctx, m, len(all), c.leave(id))
	}
	for id := range c.hands {
		if !current[id] {
			c.leave(id)
			c.logger.InfoContext(ctx, "leaving a tenant alone", slog.String("tenantId", id))
		}
	}
}

// again reports whether the work for a tenant has ended with an error and is due again: what was wrong may be mended
// outside of the registry. Until idle, it is not: the run ends.
func (c *crew) again(h *hand) bool { return !c.untilIdle && h.failedBefore(c.now().Add(-againAfter)) }

// leave ends the work for a tenant, without waiting for what is under way. It returns the hand that did it, or nil.
func (c *crew) leave(id string) *hand {
	h := c.hands[id]
	if h == nil {
		return nil
	}
	h.leave()
	delete(c.hands, id)
	c.leaving = append(slices.DeleteFunc(c.leaving, (*hand).ended), h)
	return h
}

// serve begins the work for a tenant, one of so many. If it failed before, it fails until it is known to succeed.
func (c *crew) serve(ctx context.Context, m roster.Member, tenants int, before *hand) {
	id := m.Settings.TenantID
	h := newHand(c, m, tenants, id != c.ownID || tenants > 1 || len(c.bad) > 0)
	if before != nil {
		h.named, h.trouble = before.named, before.troubled()
	}
	c.hands[id], c.known[id] = h, m
	c.tell(ctx) // before anything else about the tenant
	c.working.Go(func() { h.work(ctx) })
}

// tellBad logs what is wrong with the registry, once for each fault that lasts.
func (c *crew) tellBad(ctx context.Context, err error) {
	bad := map[string]tenant.Served{}
	for _, fault := range split(err) {
		text := fault.Error()
		entry := tenant.Served{Name: "the registry", Failing: true, Person: true}
		if wrong, ok := errors.AsType[*tenant.Error](fault); ok {
			entry.ID, entry.Name = wrong.ID, ""
		}
		bad[text] = entry
		if _, again := c.bad[text]; !again {
			c.logger.WarnContext(ctx, "cannot serve all tenants of the registry", slog.String("error", text))
		}
	}
	c.bad = bad
}

// split returns the faults of single entries that were joined.
func split(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || slices.ContainsFunc(joined.Unwrap(), func(one error) bool {
		return one == tenant.ErrInvalid || !errors.Is(one, tenant.ErrInvalid) //nolint:errorlint // the cause itself
	}) {
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, split(one)...)
	}
	return all
}

// tell tells the reporter how the tenants are doing if that has changed, and the log which fail.
func (c *crew) tell(ctx context.Context) {
	var all []tenant.Served
	more := 0
	for _, m := range c.everyone() {
		h := c.hands[m.Settings.TenantID]
		if h == nil {
			continue
		}
		trouble := h.troubled()
		all = append(all, tenant.Served{
			ID: m.Settings.TenantID, Name: m.Name, Failing: trouble != nil, Person: trouble != nil && mendable(trouble),
		})
		more += c.tellTrouble(ctx, h, trouble)
	}
	if more > 0 {
		c.logger.WarnContext(ctx, "more tenants fail; packhorse status shows them", slog.Int("tenants", more))
	}
	all = append(all, slices.SortedFunc(maps.Values(c.bad), func(a, b tenant.Served) int { return cmp.Compare(a.ID, b.ID) })...)
	if !slices.Equal(all, c.told) {
		c.told = all
		c.reporter.Tenants(all)
	}
}

// tellTrouble logs that a tenant fails, or works again. It returns 1 if there is no room in the log to name it.
func (c *crew) tellTrouble(ctx context.Context, h *hand, trouble error) int {
	switch id := slog.String("tenantId", h.member.Settings.TenantID); {
	case (trouble != nil) == h.named || !h.quiet:
		return 0
	case trouble == nil:
		h.logger.InfoContext(ctx, "the tenant works again", id)
	case c.named >= namedMax:
		h.named = true
		return 1
	default:
		c.named++
		h.logger.WarnContext(ctx, "the tenant fails; the others are served", id, slog.String("error", trouble.Error()))
	}
	h.named = trouble != nil
	return 0
}

// everyone returns the tenants that were served at any time, the environment's first, then by name.
func (c *crew) everyone() []roster.Member {
	return slices.SortedFunc(maps.Values(c.known), func(a, b roster.Member) int {
		switch c.ownID {
		case a.Settings.TenantID:
			return -1
		case b.Settings.TenantID:
			return 1
		}
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Settings.TenantID, b.Settings.TenantID))
	})
}
