package investigation

import (
	"encoding/json"
	"strings"
	"time"
)

// Stranger is an object that lies where Packhorse stores something, and that Packhorse did not store.
// It is named, and otherwise left alone.
type Stranger struct {
	Key       string    `json:"key"`
	VersionID string    `json:"versionId"` // empty in a bucket without versions
	Size      int64     `json:"size"`      // bytes
	SHA256    string    `json:"sha256"`    // lower-case hexadecimal; empty if Note says why
	FoundAt   time.Time `json:"foundAt"`
	Note      string    `json:"note"`
}

// same reports whether both are one object in one version.
func (s Stranger) same(other Stranger) bool {
	return s.Key == other.Key && s.VersionID == other.VersionID
}

// strangersMax is how many strangers a record names. Whoever can plant one can plant a thousand, and
// a ledger's item has a limit.
const strangersMax = 8

// Strangers names the strangers that were found while an action was carried, each once, in one text,
// so that records stay comparable. The zero Strangers is empty.
type Strangers string

// strangersText is the form of the text.
type strangersText struct {
	Named []Stranger `json:"named"`
	More  int        `json:"more,omitempty"`
}

// Add returns the strangers with those that were found together in one look. The first eight stay
// named; the others only count.
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

// text returns the text again, or was if there is nothing to say.
func (t strangersText) text(was Strangers) Strangers {
	if len(t.Named) == 0 {
		return was
	}
	out, err := json.Marshal(t)
	if err != nil { // a time out of range: no clock shows one
		return was
	}
	return Strangers(out)
}

// List returns the strangers that are named, in the order in which they were found.
func (s Strangers) List() []Stranger { return s.parse().Named }

// More returns how many others were found at least.
func (s Strangers) More() int { return s.parse().More }

// Has reports whether the stranger is named.
func (s Strangers) Has(other Stranger) bool {
	for _, known := range s.List() {
		if known.same(other) {
			return true
		}
	}
	return false
}

// parse returns nothing for a text that is not a Strangers.
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

// Valid reports whether the text is one that Add wrote.
func (s Strangers) Valid() bool { return s == "" || len(s.List()) > 0 }

// Claims names the owners of the latest claims of an action, the latest last. An object is
// Packhorse's only if it carries one of these names: they are random, so nobody can plant an object
// that has one before Packhorse stored it.
type Claims string

// claimsMax is how many claims are kept: more than the attempts after which a package is given up.
// An object that an earlier claim stored was found by the claim after it.
const claimsMax = 32

// Add returns the claims with one more.
func (c Claims) Add(owner string) Claims {
	owners := append(c.list(), owner)
	return Claims(strings.Join(owners[max(0, len(owners)-claimsMax):], " "))
}

// Without returns the claims but for one.
func (c Claims) Without(owner string) Claims {
	var others []string
	for _, o := range c.list() {
		if o != owner {
			others = append(others, o)
		}
	}
	return Claims(strings.Join(others, " "))
}

// Has reports whether the owner has claimed the action. No claim has an empty owner.
func (c Claims) Has(owner string) bool {
	for _, o := range c.list() {
		if o == owner {
			return true
		}
	}
	return false
}

func (c Claims) list() []string { return strings.Fields(string(c)) }

// Placed is where a small object lies, and what was found in the places before it.
type Placed struct {
	Key       string
	Strangers []Stranger
}

// Found is what lies in the places of an object.
type Found struct {
	Stored    *Stored // what a claim of the action stored; nil if none did
	Free      Key     // the first place in which nothing lies
	Strangers []Stranger
}
