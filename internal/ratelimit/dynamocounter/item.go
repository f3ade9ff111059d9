package dynamocounter

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"packhorse/internal/ratelimit"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// An item holds a ratelimit.State: the attributes freeAt0 (milliseconds since 1970) and owner0 for slot 0,
// and so on for the others, and cooldownUntil (milliseconds). Each slot has its own attributes so that a
// write can be conditional on one slot, and two workers can lease two slots at the same time.
const (
	keyName      = "pk"
	freeAtName   = "freeAt"
	ownerName    = "owner"
	cooldownName = "cooldownUntil"

	// slotsMax bounds the slots of an item that we accept as ours: no documented limit of the API gives
	// more than 25.
	slotsMax = 1000

	// millisMax is the last instant that we accept: the end of the year 9999.
	millisMax = 253402300799999
)

// ErrStranger is wrapped if the item under a budget's key was not written by this package, or was damaged.
// Nothing is leased until somebody repairs it, because we cannot know what is left of the budget.
var ErrStranger = errors.New("not a budget item")

type item = map[string]types.AttributeValue

// decode returns the state in an item. A missing item is an unspent budget.
func decode(b ratelimit.Budget, it item) (ratelimit.State, error) {
	s, err := parse(it)
	if err != nil {
		return ratelimit.State{}, fmt.Errorf("%w: item %q: %w; delete the item, but only when no "+
			"call was made for the longest window", ErrStranger, b.Name, err)
	}
	return s, nil
}

func parse(it item) (ratelimit.State, error) {
	var s ratelimit.State
	if len(it) == 0 {
		return s, nil
	}
	left := len(it)
	if _, ok := it[keyName].(*types.AttributeValueMemberS); !ok {
		return s, fmt.Errorf("attribute %q is missing or not a string", keyName)
	}
	left--
	if _, ok := it[cooldownName]; ok {
		until, err := instant(it, cooldownName)
		if err != nil {
			return s, err
		}
		s.CooldownUntil = until
		left--
	}
	for i := range slotsMax {
		free, owner := slotNames(i)
		_, hasFree := it[free]
		_, hasOwner := it[owner]
		if !hasFree && !hasOwner {
			break
		}
		freeAt, err := instant(it, free)
		if err != nil {
			return s, err
		}
		name, ok := it[owner].(*types.AttributeValueMemberS)
		if !ok || name.Value == "" {
			return s, fmt.Errorf("attribute %q is missing, empty or not a string", owner)
		}
		s.Slots = append(s.Slots, ratelimit.Slot{FreeAt: freeAt, Owner: name.Value})
		left -= 2
	}
	if left != 0 {
		return s, fmt.Errorf("%d attributes too many for a budget of %d slots", left, len(s.Slots))
	}
	if len(it) == 1 {
		return s, errors.New("neither slots nor a cooldown")
	}
	return s, nil
}

// instant reads an attribute. It accepts only plain digits, because we never write anything else.
func instant(it item, name string) (time.Time, error) {
	number, ok := it[name].(*types.AttributeValueMemberN)
	if !ok {
		return time.Time{}, fmt.Errorf("attribute %q is missing or not a number", name)
	}
	millis, err := strconv.ParseUint(number.Value, 10, 63)
	if err != nil || millis > millisMax {
		return time.Time{}, fmt.Errorf("attribute %q is %.40q, not an instant in milliseconds", name,
			number.Value)
	}
	return time.UnixMilli(int64(millis)).UTC(), nil
}

// update is a conditional write in DynamoDB's language.
type update struct {
	set, condition string
	names          map[string]string
	values         item
}

// difference returns the write that turns before into after, and false if there is nothing to write. The
// write is conditional on everything the change depends on: the slots it touches, and the cooldown.
//
// Other slots may change in the meantime without harm, because the choice of this slot did not depend on
// them. So two workers can lease two slots at the same time, and one write is still one change.
func difference(before, after ratelimit.State) (update, bool) {
	u := update{names: map[string]string{}, values: item{}}
	var sets, conditions []string
	expect := func(name string, old types.AttributeValue) {
		u.names["#"+name] = name
		if old == nil {
			conditions = append(conditions, "attribute_not_exists(#"+name+")")
			return
		}
		u.values[":was_"+name] = old
		conditions = append(conditions, "#"+name+" = :was_"+name)
	}
	set := func(name string, value types.AttributeValue) {
		u.values[":"+name] = value
		sets = append(sets, "#"+name+" = :"+name)
	}
	for i, slot := range after.Slots {
		var old ratelimit.Slot
		if i < len(before.Slots) {
			old = before.Slots[i]
		}
		if slot.Owner == old.Owner && slot.FreeAt.Equal(old.FreeAt) {
			continue
		}
		free, owner := slotNames(i)
		var oldFree, oldOwner types.AttributeValue
		if i < len(before.Slots) {
			oldFree, oldOwner = number(old.FreeAt), text(old.Owner)
		}
		expect(free, oldFree)
		expect(owner, oldOwner)
		set(free, number(slot.FreeAt))
		set(owner, text(slot.Owner))
	}
	expect(cooldownName, number(before.CooldownUntil))
	if !after.CooldownUntil.Equal(before.CooldownUntil) {
		set(cooldownName, number(after.CooldownUntil))
	}
	if len(sets) == 0 {
		return update{}, false
	}
	// Sorted, so that equal writes have equal expressions.
	slices.Sort(conditions)
	u.set, u.condition = "SET "+strings.Join(sets, ", "), strings.Join(conditions, " AND ")
	return u, true
}

func slotNames(i int) (free, owner string) {
	return freeAtName + strconv.Itoa(i), ownerName + strconv.Itoa(i)
}

// number encodes an instant; the zero time has no attribute. The encoding is exact, because the instants
// of a State are whole milliseconds.
func number(t time.Time) types.AttributeValue {
	if t.IsZero() {
		return nil
	}
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(t.UnixMilli(), 10)}
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
