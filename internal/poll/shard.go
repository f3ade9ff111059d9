package poll

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
)

// shardsMax bounds the shards: a thousand tenants need one, and a schedule has to be made for each.
const shardsMax = 100

// Shard is the part of the tenants that one poller serves; the zero value is all of them. It is the input of a
// schedule: with {"shard": 0, "shards": 4} and so on to {"shard": 3, "shards": 4} four pollers share the tenants.
//
// A tenant's shard is a hash of its id, so it does not depend on which others there are. While the number of shards
// changes, a tenant may be served by two pollers or, for a minute or two, by none; neither does harm.
type Shard struct {
	index, count int
}

// NewShard returns the shard with this index, from 0, out of count.
func NewShard(index, count int) (Shard, error) {
	if count < 1 || count > shardsMax || index < 0 || index >= count {
		return Shard{}, fmt.Errorf("invalid shard %d of %d: shards is 1 to %d, and shard is 0 to one less", index, count, shardsMax)
	}
	return Shard{index: index, count: count}, nil
}

// UnmarshalJSON implements json.Unmarshaler. Any object without the members shard and shards means all tenants, as
// does null. One member without the other, or a shard that does not exist, is an error: its tenants would not be
// served, and nobody would notice.
func (s *Shard) UnmarshalJSON(text []byte) error {
	var input struct {
		Shard  *int `json:"shard"`
		Shards *int `json:"shards"`
	}
	err := json.Unmarshal(text, &input)
	switch {
	case err != nil:
		return fmt.Errorf("read the schedule's input %.100q: %w", text, err)
	case input.Shard == nil && input.Shards == nil:
		*s = Shard{}
		return nil
	case input.Shard == nil || input.Shards == nil:
		return fmt.Errorf("read the schedule's input %.100q: %w", text, errHalfShard)
	}
	shard, err := NewShard(*input.Shard, *input.Shards)
	if err != nil {
		return fmt.Errorf("read the schedule's input: %w", err)
	}
	*s = shard
	return nil
}

var errHalfShard = errors.New(`give both shard and shards, as in {"shard": 0, "shards": 4}, or neither`)

// String returns "all" or, for the first of four, "0 of 4".
func (s Shard) String() string {
	if s.count == 0 {
		return "all"
	}
	return fmt.Sprintf("%d of %d", s.index, s.count)
}

// has reports whether the tenant belongs to the shard.
func (s Shard) has(tenantID string) bool {
	if s.count < 2 {
		return true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(tenantID)) // never fails
	sum := h.Sum64()
	// The low bits alone of FNV are no better than a checksum for ids that differ in one digit.
	return int((sum^sum>>32)%uint64(s.count)) == s.index
}
