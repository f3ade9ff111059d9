package investigation

import (
	"encoding/json"
	"strings"
	"time"
)

// Stranger is an object in one of Packhorse's places that Packhorse did not store. Packhorse reports it
// and leaves it alone.
type Stranger struct {
	Key       string    `json:"key"`
	VersionID string    `json:"versionId"` // empty in a bucket without versions
	Size      int64     `json:"size"`      // bytes
	SHA256    string    `json:"sha256"`    // lower-case hexadecimal; empty if Note says why
	FoundAt   time.Time `json:"foundAt"`
	Note      string    `json:"note"`
}

// same reports whether both are the same version of the same object.
func (s Stranger) same(other Stranger) bool {
	return s.Key == other.Key && s.VersionID == other.VersionID
}

// strangersMax bounds the strangers that a record names. An attacker who can plant one can plant a
// thousand, and a ledger's item has a size limit.
const strangersMax = 8

// Strangers names the strangers found in an action's places, each once. It is one text so that records
// stay comparable. The zero Strangers is empty.
type Strangers string

// strangersText is the JSON form of Strangers.
type strangersText struct {
	Named []Stranger `json:"named"`
	More  int        `json:"more,omitempty"`
}

// Add returns s with the strangers found together in one look added. It names the first eight and only
// counts the others.
func (s Strangers) Add(found ...Stranger) Strangers {
	text := s.parse()
	more := 0
	for _, stranger := range found {
		switch {
		case s.Has(stranger):
		case len(text.Named) == strangersMax:
			more++
		default:
			stranger.FoundAt = cut(stranger.FoundAt)
			text.Named = append(text.Named, stranger)
		}
	}
	text.More = max(text.More, more)
	return text.text(s)
}

// Merge returns the strangers of both.
func (s Strangers) Merge(other Strangers) Strangers {
	merged := s.Add(other.List()...).parse()
	merged.More = max(merged.More, other.More())
	return merged.text(s)
}

// text encodes t, and returns was if t is empty.
func (t strangersText) text(was Strangers) Strangers {
	if len(t.Named) == 0 {
		return was
	}
	out, err := json.Marshal(t)
	if err != nil { // a year out of range: cannot happen with a real clock
		return was
	}
	return Strangers(out)
}

// List returns the named strangers, in the order they were found.
func (s Strangers) List() []Stranger { return s.parse().Named }

// More returns how many more were found, at least.
func (s Strangers) More() int { return s.parse().More }

// Count returns how many were found, at least.
func (s Strangers) Count() int { return len(s.List()) + s.More() }

// Has reports whether the stranger is named.
func (s Strangers) Has(other Stranger) bool {
	for _, known := range s.List() {
		if known.same(other) {
			return true
		}
	}
	return false
}

// parse returns the zero strangersText if s is malformed.
func (s Strangers) parse() strangersText {
	var text strangersText
	if s == "" {
		return text
	}
	err := json.Unmarshal([]byte(s), &text)
	if err != nil {
		return strangersText{}
	}
	return text
}

// Valid reports whether s has the form that Add writes.
func (s Strangers) Valid() bool { return s == "" || len(s.List()) > 0 }

// Claims names the owners of an action's latest claims, the newest last. Packhorse recognizes an object
// as its own only if it carries one of these names. They are random, so nobody can plant an object with
// such a name before Packhorse has stored one.
type Claims string

// claimsMax bounds the claims that are kept. It exceeds the number of attempts before giving up, and the
// claim after a stored object finds it anyway.
const claimsMax = 32

// Add returns the claims with owner's appended.
func (c Claims) Add(owner string) Claims {
	owners := append(c.list(), owner)
	return Claims(strings.Join(owners[max(0, len(owners)-claimsMax):], " "))
}

// Without returns the claims without owner's.
func (c Claims) Without(owner string) Claims {
	var others []string
	for _, o := range c.list() {
		if o != owner {
			others = append(others, o)
		}
	}
	return Claims(strings.Join(others, " "))
}

// Has reports whether owner has claimed the action. It is false for the empty owner.
func (c Claims) Has(owner string) bool {
	for _, o := range c.list() {
		if o == owner {
			return true
		}
	}
	return false
}

func (c Claims) list() []string { return strings.Fields(string(c)) }

// Placed says where a small object is stored, and which strangers occupy the places before it.
type Placed struct {
	Key       string
	Strangers []Stranger
}

// Found describes what was found in the places of an object.
type Found struct {
	Stored    *Stored // the object that a claim of the action stored; nil if none did
	Free      Key     // the first free place
	Strangers []Stranger
}
