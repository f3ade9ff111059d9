package alarmtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"packhorse/internal/mde/mdesim"
)

// inDays returns a time that is a little less than this number of days ahead.
func inDays(days int) time.Time { return time.Now().AddDate(0, 0, days).Add(-time.Minute) }

// secretUntil gives the secret a date.
func secretUntil(s *site, expires time.Time) {
	s.storeSecret(fmt.Sprintf(`{"client_secret":%q,"expires":%q}`, mdesim.Defaults().ClientSecret,
		expires.UTC().Format(time.RFC3339)))
}

// expiries are credentials that still work, and will not for long.
func expiries() []happening {
	const name = "CredentialAlarm"
	return []happening{
		{name, "the client secret expires soon", func(s *site) []datum { secretUntil(s, inDays(30)); return s.tick() }},
		{name, "the certificate expires soon", func(s *site) []datum { s.certify(inDays(3)); return s.tick() }},
	}
}

// The days are written from 60 on, and the alarm waits until 30. What expires later, or never, writes nothing.
func TestCredentialThatLasts(t *testing.T) {
	stack := deploy(t, nil)
	alarm := alarms(t, stack)["CredentialAlarm"]
	poll := function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime}
	for name, test := range map[string]struct {
		prepare func(*site)
		written bool
	}{
		"a secret, 45 days":       {func(s *site) { secretUntil(s, inDays(45)) }, true},
		"a secret, 90 days":       {func(s *site) { secretUntil(s, inDays(90)) }, false},
		"a secret without a date": {func(*site) {}, false},
		"a certificate, 31 days":  {func(s *site) { s.certify(inDays(31).Add(time.Hour)) }, true},
		"a certificate, a year":   {func(s *site) { s.certify(inDays(365)) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := openSite(t, poll, function{})
			test.prepare(s)
			numbers := s.tick()
			written := slices.ContainsFunc(numbers, func(d datum) bool { return d.metric == alarm.metric && d.of == alarm.of })
			if written != test.written || alarm.goesOff(t, [][]datum{numbers}) {
				t.Errorf("the metric is written: %t, want %t; %v", written, test.written, numbers)
			}
			if !slices.Contains(numbers, datum{"AWS/Lambda", "Errors", "FunctionName", poll.name, 0}) {
				t.Errorf("the tick failed: %v", numbers)
			}
		})
	}
}
