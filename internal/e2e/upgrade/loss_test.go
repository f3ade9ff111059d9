package upgrade_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/memory"
	"packhorse/internal/racing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// loss is something that an upgrade must not lose.
type loss struct {
	lose func(l leftovers)
	want string // what the test then finds
}

// losses has one for everything that keeps two releases from doing something twice, or not at all.
func losses() map[string]loss {
	gone := func(name string) func(leftovers) {
		return func(l leftovers) { delete(l.ledger, l.keyOf(name)) }
	}
	without := func(name string, attributes ...string) func(leftovers) {
		return func(l leftovers) {
			for _, attribute := range attributes {
				delete(l.ledger[l.keyOf(name)], attribute)
			}
		}
	}
	return map[string]loss{
		"an action that was archived":      {gone("archived"), "archived: 1 links"},
		"an action that was not":           {gone("failed"), "failed: 0 links and 1 announcements"},
		"an action that waits":             {gone("waiting for a host"), "observedAt"},
		"the attempts":                     {without("no package three times", "attempts"), "no package three times: 4 links"},
		"a receipt":                        {without("archived", "receipt"), "FAIL"},
		"the receipt of what is under way": {without("cannot be signed", "receipt"), "not finished"},
		"a seal":                           {without("a stranger in its place", "seal"), "FAIL"},
		"the names of claims":              {without("committed", "claims"), "committed: 1 links"},
		"that an outcome was announced": {func(l leftovers) {
			it := l.ledger[l.keyOf("archived")]
			it["state"] = &types.AttributeValueMemberS{Value: string(investigation.StateReady)}
			it["lane"] = &types.AttributeValueMemberS{Value: mdesim.Defaults().TenantID + "#" + string(investigation.LaneLive)}
			it["dueAt"] = l.ledger[l.keyOf("ready")]["dueAt"]
			for _, name := range []string{"receipt", "seal", "archivedAt", "announcedAt", "manifestKey"} {
				delete(it, name)
			}
		}, "archived: 0 links and 1 announcements"},
		"a lease": {func(l leftovers) {
			it := l.ledger[l.keyOf("on its way")]
			it["dueAt"], it["leaseUntil"] = l.ledger[l.keyOf("abandoned")]["dueAt"], l.ledger[l.keyOf("abandoned")]["leaseUntil"]
		}, "on its way: asked for at"},
		"the head of the chain": {func(l leftovers) { delete(l.ledger, mdesim.Defaults().TenantID+"#chain") }, "not finished"},
		"the chain": {func(l leftovers) {
			delete(l.ledger, mdesim.Defaults().TenantID+"#chain")
			delete(l.ledger, mdesim.Defaults().TenantID+"#chain-begun")
		}, "the chain"},
		"the budget": {func(l leftovers) { clear(l.budget) }, "links in a minute"},
		"a slot": {func(l leftovers) {
			for _, it := range l.budget {
				it["freeAt1"] = &types.AttributeValueMemberN{Value: "0"}
			}
		}, "links in a minute"},
		"a package":           {func(l leftovers) { l.without("archived", ".zip") }, "FAIL"},
		"a committed package": {func(l leftovers) { l.without("committed", ".zip") }, "committed: 1 links"},
	}
}

// keyOf returns the key of an action's item.
func (l leftovers) keyOf(name string) string {
	return mdesim.Defaults().TenantID + "#" + l.course(name).Action.ID
}

func (l leftovers) course(name string) course {
	return l.Actions[slices.IndexFunc(l.Actions, func(c course) bool { return c.Name == name })]
}

// without removes an action's object from the bucket.
func (l leftovers) without(name, ending string) {
	for key := range l.bucket {
		if strings.Contains(key, l.course(name).Action.MachineID) && strings.HasSuffix(key, ending) {
			delete(l.bucket, key)
		}
	}
}

// clone returns a copy whose items and objects can be removed.
func (l leftovers) clone() leftovers {
	for _, items := range []*map[string]map[string]types.AttributeValue{&l.ledger, &l.budget} {
		copied := map[string]map[string]types.AttributeValue{}
		for key, it := range *items {
			copied[key] = maps.Clone(it)
		}
		*items = copied
	}
	l.bucket = maps.Clone[map[string][]memory.Object](l.bucket)
	return l
}

// TestLoss: whatever an upgrade could lose or forget, TestUpgrade notices.
func TestLoss(t *testing.T) {
	notice := func(name, want string, left, actual leftovers, how way) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			how.brief = true
			found := left.finished(t, actual, how)
			if !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("want %q, found %q", want, found)
			}
		})
	}
	left := allLeft(t)[0]
	all := losses()
	names := slices.Sorted(maps.Keys(all))
	for _, name := range names[:racing.Size(len(names), 2)] {
		actual := left.clone()
		all[name].lose(actual)
		notice(name, all[name].want, left, actual, way{})
	}
	notice("which app it is", "links in a minute", left, left, way{clientID: "2b7e1516-0000-4d2a-abf7-158809cf4f3c"})
}
