package poll_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/memory"
	"packhorse/internal/poll"
)

// TestShardInput: an empty input is all tenants; one that names no shard is refused, not taken for all or none.
func TestShardInput(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		`{}`:                         "all",
		`null`:                       "all",
		`{"id":"x","source":"aws"}`:  "all",
		`{"shard":0,"shards":1}`:     "0 of 1",
		`{"shard":3,"shards":4}`:     "3 of 4",
		`{"shard":99,"shards":100}`:  "99 of 100",
		`{"shard":4,"shards":4}`:     "",
		`{"shard":-1,"shards":4}`:    "",
		`{"shard":0,"shards":0}`:     "",
		`{"shard":0,"shards":101}`:   "",
		`{"shard":0}`:                "",
		`{"shards":4}`:               "",
		`{"shard":"0","shards":"4"}`: "",
		`{"shard":0.5,"shards":4}`:   "",
		`"all"`:                      "",
		`[0,4]`:                      "",
	} {
		var got poll.Shard
		err := json.Unmarshal([]byte(input), &got)
		if want == "" {
			if err == nil || got != (poll.Shard{}) {
				t.Errorf("%s: got %v, %v; want an error", input, got, err)
			}
			continue
		}
		if err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v; want %s", input, got, err, want)
		}
	}
}

// TestShards: the shards together serve each tenant once, in about equal parts; a process that serves another shard
// in between remembers its tenants.
func TestShards(t *testing.T) {
	t.Parallel()
	const tenants, shards = 1_000, 4
	bubble(t, func(t *testing.T) {
		opened, listed := map[string]int{}, map[string]*directory{}
		var members []poll.Member
		for i := range tenants {
			id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", i)
			listed[id] = &directory{}
			members = append(members, poll.Member{ID: id, Open: func() (*poll.Poller, error) {
				opened[id]++
				return pollerOf(t, listed[id], memory.NewLedger(), &strings.Builder{}), nil
			}})
		}
		fleet := poll.NewFleet(poll.FleetConfig{
			Members: func(context.Context) ([]poll.Member, error) { return members, nil },
			Now:     time.Now, Logger: slog.New(slog.DiscardHandler),
		})
		for round := range 2 {
			all := 0
			for index := range shards {
				shard, err := poll.NewShard(index, shards)
				if err != nil {
					t.Fatal(err)
				}
				answer, err := fleet.Tick(t.Context(), time.Now(), shard)
				if err != nil || answer.Tenants < tenants/shards*8/10 || answer.Tenants > tenants/shards*12/10 {
					t.Errorf("shard %s served %d tenants, %v", shard, answer.Tenants, err)
				}
				all += answer.Tenants
			}
			once := slices.Repeat([]int{round + 1}, tenants)
			var times []int
			for _, d := range listed {
				times = append(times, len(d.listings))
			}
			if all != tenants || !slices.Equal(times, once) {
				t.Errorf("round %d: %d tenants were served, %v times", round, all, times)
			}
			time.Sleep(time.Minute)
		}
		for id, n := range opened {
			if n != 1 {
				t.Errorf("tenant %s was opened %d times", id, n)
			}
		}
		members = members[:10]
		answer, err := fleet.Tick(t.Context(), time.Now(), poll.Shard{})
		if err != nil || answer.Tenants != 10 {
			t.Errorf("after 990 left: %+v, %v", answer, err)
		}
	})
}
