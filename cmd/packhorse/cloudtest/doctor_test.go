//go:build cloud

package cloudtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
	"packhorse/internal/localcloud"
	"packhorse/internal/mde/mdesim"
)

// patient is a stack with the doctor that looks at it.
type patient struct {
	*account

	stack   string
	outputs map[string]string
	folder  string // where pasted commands run; it has the secret
}

// TestDoctor breaks a perfect stack in one way after another. Exactly the right check names each, and its advice
// mends it. Checks that need a broken thing are skipped; no other check says anything.
func TestDoctor(t *testing.T) {
	t.Parallel()
	p := openPatient(t)
	p.mendWhatTheLocalCloudIgnores()
	for _, f := range p.faults() {
		t.Run(f.name, func(t *testing.T) {
			p := p.in(t)
			for _, command := range f.breaks {
				p.paste(command)
			}
			found := p.expect(f.check, f.state, f.says)
			if f.mends != "" {
				p.paste(f.mends) // the advice is for a person, or the local cloud cannot follow it
			} else {
				p.follow(found.Advice)
			}
			p.followUntilWell(f.then)
		})
	}
	p.in(t).checkGone()
}

func openPatient(t *testing.T) *patient {
	t.Helper()
	server, err := mdesim.Start(t.Context(), mdesim.Defaults(), time.Now, "127.0.0.1:0", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	idle := &tenant{Simulator: server.Simulator, t: t, server: server, config: mdesim.Defaults(), secret: mdesim.Defaults().ClientSecret}
	p := &patient{account: openAccount(t), stack: "patient", folder: t.TempDir()}
	var topic string
	p.ask(&topic, "sns", "create-topic", "--name", "alarms", "--query", "TopicArn")
	p.outputs = p.deploy(p.stack, append(idle.parameters(), "AlarmTopicArn="+topic, "BreakGlassPrincipalArn="+breakGlass,
		"EvidenceWriters="+writers)...)
	secret := `{"client_secret":"` + idle.secret + `"}`
	if err := os.WriteFile(filepath.Join(p.folder, "secret.txt"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// in returns the patient for a subtest.
func (p *patient) in(t *testing.T) *patient {
	t.Helper()
	a, q := *p.account, *p
	a.t, q.account = t, &a
	return &q
}

func (p *patient) look() []doctor.Result {
	p.t.Helper()
	cfg := aws.Config{
		Region: localcloud.Region, BaseEndpoint: aws.String(p.cloud.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(localcloud.AccessKey, localcloud.SecretKey, ""),
	}
	s, err := stack.Read(p.t.Context(), cfg, p.stack)
	if err != nil {
		p.t.Fatal(err)
	}
	return doctor.Run(p.t.Context(), doctor.Stack(cloud.Open(p.t.Context(), s, time.Now).Ports()), func(doctor.Result) {})
}

// ill returns the results that are not OK.
func ill(results []doctor.Result) []doctor.Result {
	return slices.DeleteFunc(slices.Clone(results), func(r doctor.Result) bool { return r.State == doctor.OK })
}

func show(results []doctor.Result) string {
	var text strings.Builder
	for _, r := range results {
		fmt.Fprintf(&text, "\n  %s %s: %s", r.State, r.Name, r.Text)
	}
	return text.String()
}

// expect checks that one check finds the fault, and that all others are OK, or skipped because they need it.
func (p *patient) expect(check string, state doctor.State, says string) doctor.Result {
	p.t.Helper()
	results := p.look()
	needs := map[string]bool{check: true} // and all that come after it, however far
	for range results {
		for _, r := range results {
			needs[r.Name] = needs[r.Name] || slices.ContainsFunc(slices.Concat(r.After, r.Unless),
				func(name string) bool { return needs[name] })
		}
	}
	var found doctor.Result
	for _, r := range results {
		switch {
		case r.Name == check:
			found = r
		case r.State == doctor.OK, r.State == doctor.Skipped && state == doctor.Failed && needs[r.Name]:
		default:
			p.t.Errorf("%s is %s: %s", r.Name, r.State, r.Text)
		}
	}
	if found.State != state || !strings.Contains(found.Text, says) || found.Advice == "" {
		p.t.Fatalf("%s is %q, want %s with %q: %s", check, found.State, state, says, show([]doctor.Result{found}))
	}
	return found
}

// follow does what an advice says: it pastes the command at its end.
func (p *patient) follow(advice string) {
	p.t.Helper()
	at := strings.LastIndex(advice, ": aws ")
	if at < 0 {
		p.t.Fatalf("the advice has no command: %s", advice)
	}
	p.paste(advice[at+len(": "):])
}

// paste runs a command as a person would, in a shell.
func (p *patient) paste(command string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	// The client of SQS ignores the variable for the endpoint, so every command gets the option.
	shell := exec.CommandContext(ctx, "sh", "-c", `aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }; `+command)
	shell.Dir = p.folder
	shell.Env = append(p.cloud.Environ(os.Environ()), "PATH="+p.tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	if out, err := shell.CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if strings.Contains(command, "update-function-configuration") {
		p.await("the function to be updated", func() bool {
			var states []string
			p.ask(&states, "lambda", "list-functions", "--query", "Functions[].State")
			return !slices.Contains(states, "Pending")
		})
	}
}

// followUntilWell follows the advice of the checks in then, which the first mending lets speak, one after another.
func (p *patient) followUntilWell(then []string) {
	p.t.Helper()
	for _, check := range then {
		bad := ill(p.look())
		next := slices.IndexFunc(bad, func(r doctor.Result) bool { return r.Name == check })
		if next < 0 {
			p.t.Fatalf("%s has nothing to say now:%s", check, show(bad))
		}
		p.follow(bad[next].Advice)
	}
	bad := ill(p.look())
	if len(bad) == 1 && bad[0].Name == "sweeps" { // a tick fell into the illness
		p.tick()
		bad = ill(p.look())
	}
	if len(bad) > 0 {
		p.t.Errorf("mended, it still is not well:%s", show(bad))
	}
}

// tick starts the poll function, which ends at once because the tenant is idle.
func (p *patient) tick() {
	p.t.Helper()
	p.paste("aws lambda invoke --function-name " + p.outputs["PollFunctionName"] + " answer.json")
}

// mendWhatTheLocalCloudIgnores follows the advice about everything that the local cloud leaves out of the template,
// and about the secret, which every new stack lacks. It ends with a perfect stack.
func (p *patient) mendWhatTheLocalCloudIgnores() {
	p.t.Helper()
	want := []string{"ledger.backups", "budget.backups", "bucket.lock", "bucket.encryption", "secret"}
	for _, r := range ill(p.look()) {
		switch {
		case slices.Contains(want, r.Name):
			p.follow(r.Advice)
			want = slices.DeleteFunc(want, func(name string) bool { return name == r.Name })
		case r.Name != "sweeps" || r.State != doctor.Skipped:
			p.t.Errorf("a new stack: %s is %s: %s", r.Name, r.State, r.Text)
		}
	}
	if len(want) > 0 {
		p.t.Errorf("the local cloud has learned %q: this test need not mend it", want)
	}
	p.tick()
	if bad := ill(p.look()); len(bad) > 0 {
		p.t.Fatalf("not everything is well with a perfect stack:%s", show(bad))
	}
}

// checkGone deletes a function. The local cloud cannot restore it as AWS does, so only the command is checked, as
// far as the change set that would do it.
func (p *patient) checkGone() {
	p.t.Helper()
	p.paste("aws lambda delete-function --function-name " + p.outputs["FetchPackageFunctionName"])
	found := p.expect("fetch.function", doctor.Failed, "does not exist")
	_, command, _ := strings.Cut(found.Advice, ": aws ")
	create, _, _ := strings.Cut(command, " && ")
	p.paste("aws " + create)
}

// text returns a JSON value as one shell word.
func word(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return "'" + string(text) + "'"
}
