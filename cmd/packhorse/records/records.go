// Package records prints ledger records for people and scripts.
package records

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"packhorse/cmd/packhorse/suggest"
	"packhorse/internal/investigation"
)

// States lists the values of investigation.Filter.State.
func States() []string {
	var states []string
	for _, state := range investigation.States() {
		if state != investigation.StateUnknown {
			states = append(states, string(state))
		}
	}
	for _, reason := range investigation.Reasons() {
		states = append(states, string(reason))
	}
	return states
}

// ParseState returns the state that text names, ignoring case.
func ParseState(text string) (string, error) {
	for _, state := range States() {
		if strings.EqualFold(state, text) {
			return state, nil
		}
	}
	return "", fmt.Errorf("unknown state %.40q: write one of %s%s", text, strings.Join(States(), ", "),
		suggest.Question(text, "", States()))
}

// ParseTime parses a time: RFC 3339, a date (midnight UTC), or an age such as 36h, 7d or 2w.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		t, err := time.Parse(layout, text)
		if err == nil {
			return t, nil
		}
	}
	age, err := parseAge(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("invalid time %.40q: write 2026-03-04T05:06:07Z, 2026-03-04, or an "+
			"age such as 36h, 7d or 2w", text)
	}
	return now.Add(-age), nil
}

// ageForm matches weeks, days, and what time.ParseDuration understands, in this order.
var ageForm = regexp.MustCompile(`^(?:([0-9]{1,4})w)?(?:([0-9]{1,5})d)?([0-9].*)?$`)

func parseAge(text string) (time.Duration, error) {
	parts := ageForm.FindStringSubmatch(text)
	if parts == nil || text == "" {
		return 0, strconv.ErrSyntax
	}
	weeks, _ := strconv.Atoi(parts[1]) // zero if there are none
	days, _ := strconv.Atoi(parts[2])
	age := time.Duration(7*weeks+days) * 24 * time.Hour
	if parts[3] == "" {
		return age, nil
	}
	rest, err := time.ParseDuration(parts[3])
	if err != nil || rest < 0 || age+rest < age {
		return 0, strconv.ErrSyntax
	}
	return age + rest, nil
}

// ErrNoPair reports that the selected records do not contain two packages of one host.
var ErrNoPair error = noPair{}

type noPair struct{}

func (noPair) Error() string { return "no pair of packages to compare" }

// Advice says how to list the packages of a host.
func (noPair) Advice() string { return "packhorse list --machine NAME shows the packages of that host" }

// NewestPair returns the two newest archived packages in records, which are sorted newest first, the older
// one first. All packages must be of the same host. Errors wrap [ErrNoPair].
func NewestPair(records []investigation.Record) ([]investigation.Record, error) {
	var archived []investigation.Record
	machines := map[string]bool{}
	for _, rec := range records {
		if rec.Receipt.Key != "" {
			archived = append(archived, rec)
			machines[rec.TenantID+" "+rec.MachineID] = true
		}
	}
	switch {
	case len(machines) > 1:
		return nil, fmt.Errorf("%w: %d hosts have that name: pass the machine id instead, or say whose it is with --tenant", ErrNoPair, len(machines))
	case len(archived) < 2:
		return nil, fmt.Errorf("%w: the ledger has %d archived for this host, and two are needed", ErrNoPair,
			len(archived))
	}
	return []investigation.Record{archived[1], archived[0]}, nil
}
