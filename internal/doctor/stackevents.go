package doctor

import "slices"

// ruleTarget is the id that SAM gives the fetch function in the rule.
const ruleTarget = "FetchPackageFunctionReadyLambdaTarget"

// rulePattern selects the events that the fetch function takes, as the template says.
const rulePattern = `{"source":["packhorse"],"detail-type":["Investigation Package Ready","Investigation Package Settled"]}`

func eventChecks(p StackPorts, w StackWanted) []Check {
	return []Check{
		{
			Name: "schedule", Area: areaEvents,
			Looks: "whether the schedule of the ticks is enabled and starts the poll function every minute",
			Run:   seeing(p.Schedule, w.restore(), w.judgeSchedule),
		},
		{
			Name: "bus", Area: areaEvents, Looks: "whether the event bus exists",
			Run: seeing(p.Bus, paste("create it again", "aws events create-event-bus --name %s", shell(w.Bus)),
				func(b StackBus) Finding { return Good("%s", b.Name) }),
		},
		{
			Name: "rule", Area: areaEvents, After: []string{"bus"},
			Looks: "whether the rule that starts the fetch function is enabled, with its target and its dead-letter queue",
			Run: seeing(p.Rule, paste("create it again", "aws events put-rule --name %s --event-bus-name %s --event-pattern %s && %s",
				shell(w.Rule), shell(w.Bus), shell(rulePattern), w.targetCommand(ruleTarget)), w.judgeRule),
		},
		{
			Name: "queue", Area: areaEvents, Looks: "whether the queue of undelivered events is empty",
			Run: seeing(p.Queue, w.restore(), w.judgeQueue),
		},
	}
}

func (w StackWanted) judgeSchedule(s StackSchedule) Finding {
	mend := func(why string) string {
		return paste(why, "aws scheduler update-schedule --name %s --group-name %s --state ENABLED"+
			" --schedule-expression 'rate(1 minute)' --flexible-time-window Mode=OFF --target %s", shell(s.Name),
			shell(s.Group), shell(compact(map[string]any{
				"Arn": w.PollARN, "RoleArn": s.Role,
				"RetryPolicy": map[string]int{"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0},
			})))
	}
	switch {
	case !s.Enabled && w.PollPaused:
		return Fail("start the ticks again: make deploy STACK="+shell(w.Name)+" PARAMETERS=PollState=ENABLED",
			"%s is disabled, because PollState is DISABLED: nothing is archived", s.Name)
	case !s.Enabled:
		return Fail(mend("enable it"), "%s is disabled: nothing is archived", s.Name)
	case s.Target != w.PollARN:
		return Fail(mend("put its target back"), "%s starts %s, not %s", s.Name, s.Target, w.PollARN)
	case s.Expression != "rate(1 minute)":
		return Warn(mend("put it back"), "%s runs at %s, not every minute", s.Name, s.Expression)
	default:
		return Good("%s starts %s every minute", s.Name, w.PollName)
	}
}

func (w StackWanted) targetCommand(id string) string {
	return "aws events put-targets --event-bus-name " + shell(w.Bus) + " --rule " + shell(w.Rule) + " --targets " +
		shell(compact([]any{map[string]any{
			"Id": id, "Arn": w.FetchARN, "DeadLetterConfig": map[string]string{"Arn": w.QueueARN},
			"RetryPolicy": map[string]int{"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0},
		}}))
}

func (w StackWanted) judgeRule(r StackRule) Finding {
	i := slices.IndexFunc(r.Targets, func(t StackTarget) bool { return t.ARN == w.FetchARN })
	switch {
	case !r.Enabled:
		return Fail(paste("enable it", "aws events enable-rule --event-bus-name %s --name %s", shell(w.Bus), shell(r.Name)),
			"%s is disabled: no package is fetched", r.Name)
	case !sameJSON(r.Pattern, rulePattern):
		return Fail(paste("put it back", "aws events put-rule --name %s --event-bus-name %s --event-pattern %s",
			shell(r.Name), shell(w.Bus), shell(rulePattern)), "%s selects other events: %s", r.Name, r.Pattern)
	case i < 0:
		return Fail("put it back: "+w.targetCommand(ruleTarget), "%s does not start %s: no package is fetched", r.Name,
			w.FetchName)
	case r.Targets[i].DeadLetters != w.QueueARN:
		return Warn("put it back: "+w.targetCommand(r.Targets[i].ID), "%s does not keep events that cannot be delivered",
			r.Name)
	default:
		return Good("%s starts %s", r.Name, w.FetchName)
	}
}

func (w StackWanted) judgeQueue(q StackQueue) Finding {
	if q.Messages > 0 {
		return Warn(paste("their attributes say why; nothing has to be sent again. Read them with"+
			" aws sqs receive-message --message-attribute-names All, mend the cause, then purge them",
			"aws sqs purge-queue --queue-url %s", shell(w.QueueURL)), "%d events could not be delivered", q.Messages)
	}
	return Good("empty")
}
