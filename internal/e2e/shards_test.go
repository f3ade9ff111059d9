package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"packhorse/internal/poll"
)

// The ticks of a stack are together all shards, each once. One shard is all tenants.
func TestTicksAreAllShards(t *testing.T) {
	for shards := 1; shards <= 4; shards++ {
		stack := deploy(t, map[string]string{"ManyTenants": "true", "PollShards": fmt.Sprint(shards), "PollState": "DISABLED"})
		events, _ := stack["PollFunction"].Properties["Events"].(map[string]any)
		tick, _ := events["Tick"].(map[string]any)
		schedules := []any{tick["Properties"]}
		targets := []any{tick["Properties"]}
		for _, name := range []string{"SecondTick", "ThirdTick", "FourthTick"} {
			if schedule, there := stack[name]; there {
				schedules = append(schedules, schedule.Properties)
				targets = append(targets, schedule.Properties["Target"])
			}
		}
		var got, want []string
		for i, target := range targets {
			if state := schedules[i].(map[string]any)["State"]; state != "DISABLED" {
				t.Errorf("of %d: with PollState the tick %d is %v", shards, i, state)
			}
			input, _ := target.(map[string]any)["Input"].(string)
			var shard poll.Shard
			if err := json.Unmarshal([]byte(input), &shard); err != nil {
				t.Fatalf("of %d: %s: %v", shards, input, err)
			}
			got = append(got, shard.String())
			want = append(want, fmt.Sprintf("%d of %d", i, shards))
		}
		if !slices.Equal(got, want) || len(got) != shards {
			t.Errorf("got the shards %q, want %d", got, shards)
		}
		_, there := stack["ShardRole"]
		if there != (shards > 1) {
			t.Errorf("of %d: the role of the other ticks exists: %t", shards, there)
		}
	}
}
