package dynamocounter_test

import (
	"errors"
	"strconv"
	"testing"

	"packhorse/internal/ratelimit/dynamocounter"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// FuzzDecode adds, changes or removes one attribute of an item. Decode returns ErrStranger, or a state in
// which every slot has an owner and which accounts for every attribute.
func FuzzDecode(f *testing.F) {
	for i, name := range []string{"freeAt0", "owner0", "freeAt1", "cooldownUntil", "pk", "x", "freeAt00"} {
		f.Add(name, uint8(i), strconv.Itoa(1793696400000+i))
	}
	f.Add("freeAt1", uint8(1), "-0")
	f.Fuzz(func(t *testing.T, name string, kind uint8, value string) {
		s := func(v string) types.AttributeValue { return &types.AttributeValueMemberS{Value: v} }
		n := func(v string) types.AttributeValue { return &types.AttributeValueMemberN{Value: v} }
		it := map[string]types.AttributeValue{
			"pk": s("x"), "freeAt0": n("1"), "owner0": s("a"), "freeAt1": n("2"), "owner1": s("b"),
		}
		switch kind % 4 {
		case 0:
			delete(it, name)
		case 1:
			it[name] = n(value)
		case 2:
			it[name] = s(value)
		case 3:
			it[name] = nil
		}
		state, err := dynamocounter.Decode(it)
		if err != nil {
			if !errors.Is(err, dynamocounter.ErrStranger) {
				t.Errorf("got %v, want ErrStranger", err)
			}
			return
		}
		attributes := 1 + 2*len(state.Slots)
		if !state.CooldownUntil.IsZero() {
			attributes++
		}
		if attributes != len(it) {
			t.Errorf("read %d of %d attributes", attributes, len(it))
		}
		for i, slot := range state.Slots {
			if slot.Owner == "" || slot.FreeAt.UnixMilli() < 0 {
				t.Errorf("slot %d is %+v", i, slot)
			}
		}
	})
}
