// Package doctor checks whether an installation is set up right and works: each [Check] looks at one thing
// and says what it found and what to do about it.
package doctor

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
)

// State is the result of a check.
type State string

const (
	// OK means that what was checked is as it should be.
	OK State = "ok"
	// Warning means that it works today, but somebody should look at it.
	Warning State = "warning"
	// Failed means that Packhorse cannot do its work, or that evidence is not protected as configured.
	Failed State = "failed"
	// Skipped means that the check could not be made; the finding says why. It proves nothing.
	Skipped State = "skipped"
)

// Check looks at one thing.
type Check struct {
	Name  string   // stable and unique, such as "bucket.lock"
	Area  string   // the heading it is shown under, such as "Evidence bucket"
	Looks string   // what it looks at, one line for the documentation
	After []string // names of checks that must not have failed or been skipped; otherwise this one is skipped

	// Unless has names of checks whose failure explains what this one would find; then it is skipped. In contrast to
	// After, a check that was skipped explains nothing.
	Unless []string

	// Run looks. It does not change anything and does not spend a call of the budget for links. A failure to
	// look is a Skipped finding that says why.
	Run func(ctx context.Context) Finding
}

// Finding is what a check found.
type Finding struct {
	State  State
	Text   string // what was found, one line, with the values
	Advice string // what to do, ready to paste; empty if nothing is to be done
}

// Result is a check together with its finding.
type Result struct {
	Check
	Finding

	// Tenant is the id of the tenant that was looked at, and TenantName what people call it. They are empty if the result
	// is not of one tenant of many.
	Tenant, TenantName string
}

// commandForm finds the command at the end of an advice: after a colon, one of the programs that advice uses.
var commandForm = regexp.MustCompile(`^(?:(.*?): )?((?:aws|make|packhorse|chmod|chown|mv|cp|export) .*)$`)

// Command splits an advice into what it is about and the command at its end, if it has one.
func Command(advice string) (why, command string) {
	parts := commandForm.FindStringSubmatch(advice)
	if parts == nil {
		return advice, ""
	}
	return parts[1], parts[2]
}

// Good builds a finding that all is well.
func Good(format string, args ...any) Finding {
	return Finding{State: OK, Text: fmt.Sprintf(format, args...)}
}

// Warn builds a warning.
func Warn(advice, format string, args ...any) Finding {
	return Finding{State: Warning, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// Fail builds a failure.
func Fail(advice, format string, args ...any) Finding {
	return Finding{State: Failed, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// Skip builds the finding of a check that could not be made.
func Skip(advice, format string, args ...any) Finding {
	return Finding{State: Skipped, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// Run makes the checks side by side, each after those it names, and returns their results in the order given.
// It calls told, one call at a time, when a result is known.
func Run(ctx context.Context, checks []Check, told func(Result)) []Result {
	results := make([]Result, len(checks))
	done := make(map[string]chan struct{}, len(checks))
	for _, check := range checks {
		done[check.Name] = make(chan struct{})
	}
	index := make(map[string]int, len(checks))
	for i, check := range checks {
		index[check.Name] = i
	}
	var mu sync.Mutex // one result is told at a time
	var all sync.WaitGroup
	for i, check := range checks {
		all.Go(func() {
			defer close(done[check.Name])
			finding, waited := check.wait(ctx, done, func(name string) State { return results[index[name]].State })
			if waited {
				finding = check.look(ctx)
			}
			results[i] = Result{Check: check, Finding: finding}
			mu.Lock()
			defer mu.Unlock()
			told(results[i])
		})
	}
	all.Wait()
	return results
}

// wait waits for the checks that come before. It returns a Skipped finding if one of them did not succeed.
// Checks that are not part of this run do not count.
func (c Check) wait(ctx context.Context, done map[string]chan struct{}, state func(string) State) (Finding, bool) {
	for i, name := range slices.Concat(c.After, c.Unless) {
		before, ok := done[name]
		if !ok {
			continue
		}
		select {
		case <-before:
		case <-ctx.Done():
			return Skip("", "interrupted"), false
		}
		if s := state(name); s == Failed || s == Skipped && i < len(c.After) {
			return Skip("", "needs %s, which %s", name, map[State]string{Failed: "failed", Skipped: "was skipped"}[s]), false
		}
	}
	return Finding{}, true
}

// checkTimeout bounds a check. It is longer than a sign-in with its retries.
const checkTimeout = 40 * time.Second

// look runs the check. It does not wait for a Run that ignores its context, such as one that reads from a disk that
// hangs.
func (c Check) look(ctx context.Context) Finding {
	limited, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := make(chan Finding, 1)
	go func() { found <- c.Run(limited) }()
	select {
	case finding := <-found:
		if finding.State == Skipped && ctx.Err() != nil { // its reason is the interruption, in other words
			return Skip("", "interrupted")
		}
		return finding
	case <-limited.Done():
		if ctx.Err() != nil {
			return Skip("", "interrupted")
		}
		return Skip("", "no answer within %d s", int(checkTimeout.Seconds()))
	}
}
