package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// concurrencyMin is how many invocations the account should have left: a few fetches and the poller.
const concurrencyMin = 10

func functionChecks(p StackPorts, w StackWanted) []Check {
	poll := lambda{w: w, id: "poll", word: "the poll function", name: w.PollName, arn: w.PollARN, role: w.PollRole,
		reserved: w.PollRate, variables: w.PollVariables}
	fetch := lambda{w: w, id: "fetch", word: "the fetch function", name: w.FetchName, arn: w.FetchARN, role: w.FetchRole,
		reserved: w.FetchRate, variables: w.FetchVariables}
	return append(append(poll.checks(p.Poll, p.PollConcurrency, p.PollMay), fetch.checks(p.Fetch, p.FetchConcurrency, p.FetchMay)...),
		Check{
			Name: "account.concurrency", Area: areaFunctions,
			Looks: "whether the account has unreserved concurrency left for the functions",
			Run:   seeing(p.Account, "", w.judgeAccount),
		})
}

// lambda is one of the two functions, as it was deployed.
type lambda struct {
	w                         StackWanted
	id, word, name, arn, role string
	reserved                  int
	variables                 map[string]string // what its environment must say
}

func (l lambda) checks(look Look[StackFunction], concurrency Look[StackConcurrency], may Look[StackPermissions]) []Check {
	return []Check{
		{
			Name: l.id + ".function", Area: areaFunctions,
			Looks: "whether " + l.word + " exists, can run, and has the stack's role and architecture",
			Run:   seeing(look, l.w.restore(), l.judge),
		},
		{
			Name: l.id + ".settings", Area: areaFunctions, After: []string{l.id + ".function"},
			Looks: "whether " + l.word + " can read its settings, and whether they are the stack's",
			Run:   seeing(look, "", l.judgeSettings),
		},
		{
			Name: l.id + ".concurrency", Area: areaFunctions, After: []string{l.id + ".function"},
			Looks: "whether " + l.word + " may run at all: its reserved concurrency",
			Run:   seeing(concurrency, "", l.judgeConcurrency),
		},
		{
			Name: l.id + ".permissions", Area: areaFunctions,
			Looks: "whether the role of " + l.word + " may do what the function needs, by its own policies",
			Run:   seeing(may, l.w.restore(), l.judgePermissions),
		},
	}
}

func (l lambda) judge(f StackFunction) Finding {
	reason := func(text string) string {
		if text == "" {
			return ""
		}
		return ": " + text
	}
	switch {
	case f.State == "Pending", f.Update == "InProgress":
		return Warn(paste("wait until it is done, then look again", "aws lambda wait function-updated --function-name %s",
			shell(l.name)), "%s is being updated", l.name)
	case f.State != "Active" && f.State != "Inactive": // Inactive: idle for weeks, and wakes up
		return Fail(paste("read more", "aws lambda get-function-configuration --function-name %s", shell(l.name)),
			"%s is %s%s", l.name, f.State, reason(f.StateReason))
	case f.Update == "Failed":
		return Fail("deploy again: "+"make deploy STACK="+shell(l.w.Name), "the last update of %s failed%s", l.name,
			reason(f.UpdateReason))
	case f.Role != l.role:
		return Fail(paste("give it the stack's role",
			"aws lambda update-function-configuration --function-name %s --role %s", shell(l.name), shell(l.role)),
			"%s runs as %s, not as %s", l.name, f.Role, l.role)
	case f.Architecture != l.w.Architecture:
		return Fail("deploy again: make deploy STACK="+shell(l.w.Name), "%s is built for %s, the stack for %s", l.name,
			f.Architecture, l.w.Architecture)
	default:
		return Good("%s, %s, changed %s", l.name, f.Architecture, f.Modified)
	}
}

// judgeSettings compares with the parameters first: a value that was changed by hand is put back, not mended.
func (l lambda) judgeSettings(f StackFunction) Finding {
	var wrong []string
	for name, want := range l.variables {
		got, there := f.Environment[name]
		if got != want && (there || want != "") {
			wrong = append(wrong, name)
		}
	}
	slices.Sort(wrong)
	if len(wrong) > 0 {
		return Fail(paste("put them back", "%s", l.environmentCommand(f)), "%s: not as the stack was deployed: %s", l.name,
			strings.Join(wrong, ", "))
	}
	switch {
	case f.Settings != "" && len(l.added(f)) > 0:
		return Fail("take out what was added: "+l.environmentCommand(f), "%s: %s", l.name, f.Settings)
	case f.Settings != "":
		return Fail("deploy with other parameters: make deploy STACK="+shell(l.w.Name), "%s: %s", l.name, f.Settings)
	default:
		return Good("%s reads its %d variables", l.name, len(f.Environment))
	}
}

// runtimeVariables are those of the template that are not settings.
var runtimeVariables = []string{"GOMEMLIMIT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}

// added returns the variables that the template does not set. Their values may be secrets.
func (l lambda) added(f StackFunction) []string {
	var names []string
	for name := range f.Environment {
		if _, wanted := l.variables[name]; !wanted && !slices.Contains(runtimeVariables, name) {
			names = append(names, name)
		}
	}
	return names
}

// environmentCommand sets the function's whole environment, because Lambda replaces all of it. It has only what
// the template sets: the value of a variable that somebody added must not reach a screen.
func (l lambda) environmentCommand(f StackFunction) string {
	variables := map[string]string{}
	for _, name := range runtimeVariables {
		if value, ok := f.Environment[name]; ok {
			variables[name] = value
		}
	}
	for name, value := range l.variables {
		variables[name] = value
	}
	return fmt.Sprintf("aws lambda update-function-configuration --function-name %s --environment %s", shell(l.name),
		shell(compact(map[string]any{"Variables": variables})))
}

func (l lambda) judgeConcurrency(c StackConcurrency) Finding {
	mend := paste("let it run again", "aws lambda delete-function-concurrency --function-name %s", shell(l.name))
	if l.reserved > 0 {
		mend = paste("put it back", "aws lambda put-function-concurrency --function-name %s"+
			" --reserved-concurrent-executions %d", shell(l.name), l.reserved)
	}
	switch {
	case c.Reserved && c.Limit == 0:
		return Fail(mend, "%s may not run: its reserved concurrency is 0", l.name)
	case c.Reserved && c.Limit != l.reserved, !c.Reserved && l.reserved > 0:
		return Warn(mend, "%s has %s, the stack says %s", l.name, invocations(c.Limit), invocations(l.reserved))
	case c.Reserved:
		return Good("%s has %s", l.name, invocations(c.Limit))
	default:
		return Good("%s uses the account's pool", l.name)
	}
}

func (l lambda) judgePermissions(p StackPermissions) Finding {
	if len(p.Lacks) > 0 {
		return Fail(l.w.restore(), "%s is not allowed %s", l.role[strings.LastIndexByte(l.role, '/')+1:], few(p.Lacks))
	}
	return Good("the role is allowed all %d things that it needs", p.Of)
}

func invocations(limit int) string {
	if limit == 0 {
		return "no reserved concurrency"
	}
	return fmt.Sprintf("%d reserved invocations", limit)
}

func (w StackWanted) judgeAccount(a StackAccount) Finding {
	raise := paste("ask AWS for more", "aws service-quotas request-service-quota-increase --service-code lambda"+
		" --quota-code L-B99A9384 --desired-value %d", max(1000, a.Limit*2))
	pool := w.PollRate == 0 || w.FetchRate == 0
	switch {
	case a.Unreserved == 0 && pool:
		return Fail(raise, "nothing is left of the account's %d invocations at a time", a.Limit)
	case a.Unreserved < concurrencyMin && pool:
		return Warn(raise, "only %d of the account's %d invocations at a time are unreserved", a.Unreserved, a.Limit)
	default:
		return Good("%d of the account's %d invocations at a time are unreserved", a.Unreserved, a.Limit)
	}
}
