package registry

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"packhorse/internal/tenant"
)

func testRacingAdds(t *testing.T, s Store) {
	const racers = 8
	var all sync.WaitGroup
	won := make(chan tenant.Tenant, racers)
	for i := range racers {
		r := []Registry{s.One, s.Other}[i%2]
		all.Go(func() {
			e := entry(1)
			e.Name = fmt.Sprintf("racer %d", i)
			stored, err := r.Put(t.Context(), e)
			if err == nil {
				won <- stored
			} else if !errors.Is(err, tenant.ErrConflict) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(won)
	if len(won) != 1 {
		t.Fatalf("%d racers added the tenant", len(won))
	}
	s.holds(t, <-won)
}

func testRacingChanges(t *testing.T, s Store) {
	const racers, each = 4, 5
	start := entry(1)
	start.LockDays = 1
	s.put(t, start)
	var all sync.WaitGroup
	for i := range racers {
		r := []Registry{s.One, s.Other}[i%2]
		all.Go(func() {
			for done := 0; done < each; {
				e, err := r.Get(t.Context(), ID(1))
				if err != nil {
					t.Error(err)
					return
				}
				e.LockDays++
				_, err = r.Put(t.Context(), e)
				if err == nil {
					done++
				} else if !errors.Is(err, tenant.ErrConflict) {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got, err := s.One.Get(t.Context(), ID(1)); err != nil || got.LockDays != 1+racers*each {
		t.Errorf("got %+v, %v", got, err)
	}
}
