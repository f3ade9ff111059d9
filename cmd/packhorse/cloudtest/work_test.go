//go:build cloud

package cloudtest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
)

const (
	// workTimeout bounds the work of the functions: a minute until the schedule starts, a minute
	// until the slots are free again, and as much for a slow machine.
	workTimeout = 5 * time.Minute

	// lookPause is the pause between two checks of the ledger.
	lookPause = 500 * time.Millisecond
)

// setSecrets sets the stacks' secrets, as an operator would.
func (a *account) setSecrets(stacks []map[string]string, secret string) {
	a.t.Helper()
	for _, outputs := range stacks {
		poll, _ := a.settings(outputs)
		a.call("secretsmanager.PutSecretValue", map[string]any{
			"SecretId": poll.SecretID, "SecretString": `{"client_secret":"` + secret + `"}`,
		}, nil)
	}
}

// checkUnknownActionIsRefused invokes the fetch function by hand, with an event of another tenant.
func (a *account) checkUnknownActionIsRefused(outputs map[string]string) {
	a.t.Helper()
	out := filepath.Join(a.t.TempDir(), "answer.json")
	a.run("aws", "lambda", "invoke", "--function-name", outputs["FetchPackageFunctionName"],
		"--payload", "file://"+filepath.Join(a.root, "events", "fetch-package.json"), out)
	text, err := os.ReadFile(out)
	if err != nil {
		a.t.Fatal(err)
	}
	if answer := decode[fetch.Answer](a.t, text); answer.Outcome != fetch.OutcomeRefused {
		a.t.Errorf("got %s", text)
	}
}

// items returns a table's items in DynamoDB's JSON.
func (a *account) items(table string) []json.RawMessage {
	a.t.Helper()
	var answer struct{ Items []json.RawMessage }
	a.call("DynamoDB_20120810.Scan", map[string]any{"TableName": table}, &answer)
	return answer.Items
}

// await waits until the condition holds, and ends the test if that takes too long.
func (a *account) await(what string, isThere func() bool) {
	a.t.Helper()
	for began := time.Now(); !isThere(); {
		if time.Since(began) > workTimeout {
			a.t.Fatalf("waited %v for %s", workTimeout, what)
		}
		select {
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		case <-time.After(lookPause):
		}
	}
}

// awaitDone waits until the ledger has nothing left to do for any action.
func (a *account) awaitDone(table string, s *tenant) {
	a.t.Helper()
	began := time.Now()
	a.await("every action to be done", func() bool {
		done := 0
		for _, text := range a.items(table) {
			item := decode[struct{ State struct{ S string } }](a.t, text)
			if item.State.S == string(investigation.StateDone) {
				done++
			}
		}
		return done == len(s.ready)+1
	})
	a.t.Logf("all was done after %.0f s", time.Since(began).Seconds())
}

// logs returns a function's log.
func (a *account) logs(group string) string {
	a.t.Helper()
	var answer struct{ Events []struct{ Message string } }
	a.call("Logs_20140328.FilterLogEvents", map[string]any{"logGroupName": group}, &answer)
	var all strings.Builder
	for _, event := range answer.Events {
		all.WriteString(event.Message + "\n")
	}
	return all.String()
}

// checkLogs checks that both stacks ticked and wrote metrics.
func (a *account) checkLogs(stacks []map[string]string) {
	a.t.Helper()
	var fetched strings.Builder
	for _, outputs := range stacks {
		a.await("a tick of "+outputs["PollFunctionName"]+" to end", func() bool {
			return strings.Contains(a.logs(outputs["PollLogGroupName"]), "SweepSeconds")
		})
		if ticks := a.logs(outputs["PollLogGroupName"]); strings.Contains(ticks, "ERROR") {
			a.t.Errorf("the log of %s is\n%s", outputs["PollFunctionName"], ticks)
		}
		fetched.WriteString(a.logs(outputs["FetchPackageLogGroupName"]))
	}
	for _, name := range []string{
		"PackagesArchived", "ArchivedBytes", "ReadyToArchivedSeconds", "BudgetLeased",
	} {
		if !strings.Contains(fetched.String(), `"`+name+`"`) {
			a.t.Errorf("no fetch wrote %s\n%s", name, fetched.String())
		}
	}
}

// checkNoLeak searches the functions' environments, all stored data, events and logs for links, tokens,
// assertions, private keys and client secrets.
func (a *account) checkNoLeak(stacks []map[string]string, b bucketServer, f []*facts, tenants ...*tenant) {
	a.t.Helper()
	places := a.environments(stacks)
	for i, one := range f {
		places[fmt.Sprintf("the events %d", i)] = one.raw.String()
	}
	for _, table := range a.tables() {
		text, _ := json.Marshal(a.items(table))
		places["the table "+table] = string(text)
	}
	err := filepath.WalkDir(b.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.HasSuffix(path, ".zip") {
			return err
		}
		text, err := os.ReadFile(path)
		places[path] = string(text)
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	var groups struct {
		LogGroups []struct {
			LogGroupName string `json:"logGroupName"`
		} `json:"logGroups"`
	}
	a.call("Logs_20140328.DescribeLogGroups", map[string]any{}, &groups)
	for _, group := range groups.LogGroups {
		places[group.LogGroupName] = a.logs(group.LogGroupName)
	}
	var secrets []string
	presented := 0
	for _, s := range tenants {
		links, assertions := s.Links(), s.Assertions()
		presented += len(assertions)
		if len(links) < len(s.ready) || len(places) < 20 {
			a.t.Fatalf("%d links, %d places: the search would prove nothing", len(links), len(places))
		}
		secrets = slices.Concat(secrets, links, assertions, []string{s.secret})
	}
	if presented == 0 {
		a.t.Fatal("no assertions: the search would prove nothing")
	}
	for place, text := range places {
		if found := looksSecret.FindString(text); found != "" {
			a.t.Errorf("a token or a key is in %s: it begins with %.8s", place, found)
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				a.t.Errorf("a secret is in %s", place)
			}
		}
	}
}
