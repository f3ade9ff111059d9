package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"packhorse/internal/tenant"
)

// silentMax is how long the sweeps of a tenant may fail. Ticks come every minute.
const silentMax = 5 * time.Minute

// namedMax bounds the things that one finding names.
const namedMax = 3

func logChecks(p StackPorts, w StackWanted) []Check {
	logs := func(name, word, group string, look Look[StackLogs]) Check {
		retain := fmt.Sprintf("aws logs put-retention-policy --log-group-name %s --retention-in-days %d", shell(group), w.LogDays)
		create := "aws logs create-log-group --log-group-name " + shell(group)
		if w.DataKey != "" {
			create += " --kms-key-id " + shell(w.DataKey)
		}
		return Check{
			Name: name, Area: areaLogs, Looks: "whether the log group of the " + word + " function exists, and keeps logs long enough",
			Run: seeing(look, "create it again: "+create+" && "+retain,
				func(l StackLogs) Finding {
					if l.Days != w.LogDays {
						return Warn("put it back: "+retain, "%s keeps logs %s, the stack says %d days", group, days(l.Days), w.LogDays)
					}
					return Good("%s, %s", group, days(l.Days))
				}),
		}
	}
	return []Check{
		logs("poll.logs", "poll", w.PollLogs, p.PollLogs),
		logs("fetch.logs", "fetch", w.FetchLogs, p.FetchLogs),
		{
			Name: "alarms", Area: areaLogs, Looks: "whether all alarms exist, and none of them is in ALARM",
			Run: seeing(p.Alarms, w.restore(), judgeAlarms),
		},
		{
			Name: "alarms.actions", Area: areaLogs, Looks: "whether the alarms tell somebody",
			Run: seeing(p.Alarms, "", w.judgeActions),
		},
	}
}

func days(n int) string {
	if n == 0 {
		return "forever"
	}
	return fmt.Sprintf("%d days", n)
}

func judgeAlarms(alarms []StackAlarm) Finding {
	var ringing []StackAlarm
	for _, a := range alarms {
		if a.State == "ALARM" {
			ringing = append(ringing, a)
		}
	}
	if len(ringing) == 0 {
		return Good("%d alarms, none in ALARM", len(alarms))
	}
	var names []string
	for _, a := range ringing {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	advice := ringing[0].Description
	if len(ringing) > 1 {
		advice = `see docs/operations.md, "When an alarm goes off"`
	}
	return Warn(advice, "in ALARM: %s", strings.Join(names, ", "))
}

func (w StackWanted) judgeActions(alarms []StackAlarm) Finding {
	var silent []string
	for _, a := range alarms {
		if !a.Notifies {
			silent = append(silent, a.Name)
		}
	}
	slices.Sort(silent)
	switch {
	case len(silent) == 0:
		return Good("all %d alarms tell somebody", len(alarms))
	case w.Topic == "":
		return Warn("name an address, or your SNS topic in AlarmTopicArn: make deploy STACK="+shell(w.Name)+
			" PARAMETERS=NotificationEmail=soc@example.com",
			"%d of %d alarms tell nobody: neither AlarmTopicArn nor NotificationEmail is set", len(silent), len(alarms))
	default:
		return Warn("turn them on: aws cloudwatch enable-alarm-actions --alarm-names "+strings.Join(silent, " "),
			"tell nobody: %s", strings.Join(silent, ", "))
	}
}

func workChecks(p StackPorts, w StackWanted) []Check {
	return []Check{
		{
			Name: nameSweeps, Area: areaWork, Looks: "when each tenant was last swept successfully",
			After: []string{
				"schedule", "poll.function", "poll.settings", "poll.concurrency", "account.concurrency", "ledger.table", "ledger.index",
				"budget.table", "bus", "poll.permissions",
			},
			Unless: credentialNames,
			Run:    seeing(p.Sweeps, "", func(sweeps []StackSweep) Finding { return w.judgeSweeps(sweeps, p.Now()) }),
		},
		{
			Name: namePackages, Area: areaWork, After: []string{"ledger.table"},
			Looks: "whether a package has been ready for six hours, or a stranger was found in the archive",
			Run:   seeing(p.Work, "", func(work StackWork) Finding { return w.judgeWork(work, p.Now()) }),
		},
	}
}

func (w StackWanted) judgeSweeps(sweeps []StackSweep, now time.Time) Finding {
	errors := paste("read the errors", "aws logs filter-log-events --log-group-name %s --filter-pattern ERROR --start-time %d",
		shell(w.PollLogs), now.Add(-time.Hour).UnixMilli())
	var texts []string
	state := OK
	for _, s := range sweeps {
		switch {
		case !s.FailingSince.IsZero():
			if now.Sub(s.FailingSince) > silentMax {
				state = Failed
			}
			state = worse(state, Warning)
			texts = append(texts, fmt.Sprintf("%s fails since %s: %s", s.Tenant, s.FailingSince.UTC().Format(time.RFC3339), s.Message))
		case s.SweptAt.IsZero():
			state = worse(state, Warning)
			texts = append(texts, s.Tenant+" was never swept")
		case now.Sub(s.SweptAt) > tenant.SweepAge(w.Tenants):
			state = Failed
			texts = append(texts, fmt.Sprintf("%s was last swept %s ago", s.Tenant, age(now.Sub(s.SweptAt))))
		default:
			texts = append(texts, fmt.Sprintf("%s was swept %s ago", s.Tenant, age(now.Sub(s.SweptAt))))
		}
	}
	f := Finding{State: state, Text: strings.Join(texts, "; "), Advice: errors}
	if state == OK {
		f.Advice = ""
	}
	return f
}

// worse returns Failed if a is, else b.
func worse(a, b State) State {
	if a == Failed {
		return a
	}
	return b
}

func (w StackWanted) judgeWork(work StackWork, now time.Time) Finding {
	switch {
	case len(work.Strangers) > 0:
		return Warn("find out who put them there: CloudTrail's data events of the bucket say so;"+
			` docs/operations.md, "When an alarm goes off"`,
			"%d objects in the archive are not Packhorse's: %s", len(work.Strangers), few(work.Strangers))
	case len(work.Stuck) > 0:
		s := work.Stuck[0]
		message := s.Message
		if message == "" {
			message = "it waits for its turn: Defender allows 120 links an hour"
		}
		return Warn(paste("read why", "aws logs filter-log-events --log-group-name %s --filter-pattern %s", shell(w.FetchLogs),
			shell(`"`+s.Action+`"`)), "%d packages have been ready for more than %s; the oldest is %s, for %s: %s",
			len(work.Stuck), "6 h", s.Action, age(now.Sub(s.Since)), message)
	default:
		return Good("%d actions, no stranger, nothing waits for more than 6 h", work.Records)
	}
}

func few(names []string) string {
	if len(names) <= namedMax {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namedMax], ", "), len(names)-namedMax)
}
