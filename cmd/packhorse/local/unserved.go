package local

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"packhorse/internal/investigation"
)

// listedMax bounds the tenants that an UnservedError names.
const listedMax = 20

// UnservedError reports the tenants of a run for which something was left to do at its end. Everything was done for
// the others.
type UnservedError struct {
	Reasons []string // with the tenant; at least one
	Tenants int      // how many there were
}

func (e *UnservedError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "not everything is done for %d of %d tenants:", len(e.Reasons), e.Tenants)
	for i, reason := range e.Reasons {
		if i == listedMax {
			fmt.Fprintf(&text, "\n  and %d more", len(e.Reasons)-i)
			break
		}
		text.WriteString("\n  " + strings.ReplaceAll(reason, "\n", "\n  "))
	}
	return text.String()
}

// Advice says how to look at them.
func (*UnservedError) Advice() string {
	return "packhorse tenant list shows how every tenant is doing; the others are done"
}

// unserved returns an *[UnservedError] for the tenants whose work has failed, or nil.
func (c *crew) unserved() error {
	e := &UnservedError{Tenants: len(c.hands) + len(c.bad)}
	for _, m := range c.everyone() {
		h := c.hands[m.Settings.TenantID]
		if h == nil || h.err() == nil {
			continue
		}
		id := m.Settings.TenantID
		if m.Name != "" {
			id = fmt.Sprintf("%s (%s)", m.Name, id)
		}
		e.Reasons = append(e.Reasons, id+": "+h.err().Error())
	}
	e.Reasons = append(e.Reasons, slices.Sorted(maps.Keys(c.bad))...)
	if len(e.Reasons) == 0 {
		return nil
	}
	return e
}

// Finished reports whether err is of a run that has results: nothing is left to do but what err names.
func Finished(err error) bool {
	_, unserved := errors.AsType[*UnservedError](err)
	return err == nil || unserved || errors.Is(err, ErrStopped) || errors.Is(err, investigation.ErrBadRecord)
}
