//go:build cloud

package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/localcloud"
	"packhorse/internal/mde/mdesim"
	"packhorse/internal/settings"
)

// account is a local cloud with the tools to use it.
type account struct {
	t     *testing.T
	cloud *localcloud.Cloud
	tools string // folder
	built string // folder of the template that sam build made
}

func open(t *testing.T) *account {
	t.Helper()
	path, err := localcloud.Find(".")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cloud, err := localcloud.Start(context.Background(), path, os.Environ(), &log)
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	})
	a := &account{t: t, cloud: cloud, tools: filepath.Dir(path), built: t.TempDir()}
	a.run("sam", "build", "--build-dir", a.built, "--parameter-overrides", architecture())
	return a
}

func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "Architecture=arm64"
	}
	return "Architecture=x86_64"
}

// run runs one of the tools in the repository's root, and returns what it prints.
func (a *account) run(tool string, args ...string) []byte {
	a.t.Helper()
	out, err := a.try(tool, args...)
	if err != nil {
		a.t.Fatalf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return out
}

func (a *account) try(tool string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(a.tools, tool), args...)
	command.Dir = root
	command.Env = append(a.cloud.Environ(os.Environ()), "SAM_CLI_TELEMETRY=0")
	if tool != "aws" {
		return command.CombinedOutput()
	}
	out, err := command.Output() // it may warn on stderr, and stdout is to be understood
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		out = append(out, failed.Stderr...)
	}
	return out, err
}

// ask has the AWS command line ask for something.
func (a *account) ask(answer any, args ...string) {
	a.t.Helper()
	out := a.run("aws", append(args, "--output", "json")...)
	if err := json.Unmarshal(out, answer); err != nil {
		a.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// deploy deploys a stack and returns its outputs.
func (a *account) deploy(stack string, parameters ...string) map[string]string {
	a.t.Helper()
	tenant := mdesim.Defaults()
	a.run("sam", append([]string{"deploy", "--template-file", filepath.Join(a.built, "template.yaml"),
		"--stack-name", stack, "--resolve-s3", "--capabilities", "CAPABILITY_IAM",
		"--no-confirm-changeset", "--parameter-overrides", architecture(),
		"DefenderTenantId=" + tenant.TenantID, "DefenderClientId=" + tenant.ClientID,
		"PollState=DISABLED"}, parameters...)...)
	var pairs [][2]string
	a.ask(&pairs, "cloudformation", "describe-stacks", "--stack-name", stack,
		"--query", "Stacks[0].Outputs[].[OutputKey,OutputValue]")
	outputs := map[string]string{}
	for _, pair := range pairs {
		outputs[pair[0]] = pair[1]
	}
	return outputs
}

// settings returns what the two functions of a stack read of their environment.
func (a *account) settings(outputs map[string]string) (poll, fetch settings.Settings) {
	a.t.Helper()
	for name, parse := range map[string]func(map[string]string) (settings.Settings, error){
		"PollFunctionName": settings.ParsePoll, "FetchPackageFunctionName": settings.ParseFetch,
	} {
		environ := map[string]string{}
		a.ask(&environ, "lambda", "get-function-configuration", "--function-name", outputs[name],
			"--query", "Environment.Variables")
		s, err := parse(environ)
		if err != nil {
			a.t.Fatalf("%s: %v", name, err)
		}
		if name == "PollFunctionName" {
			poll = s
		} else {
			fetch = s
		}
	}
	return poll, fetch
}

func (a *account) tables() []string {
	a.t.Helper()
	var tables []string
	a.ask(&tables, "dynamodb", "list-tables", "--query", "TableNames")
	return slices.Sorted(slices.Values(tables))
}

// TestLifeOfAStack deploys the template as it is, twice, the second with the tables of the first,
// updates it, and deletes both.
func TestLifeOfAStack(t *testing.T) {
	a := open(t)
	first := a.deploy("first")
	poll, fetch := a.settings(first)
	for _, s := range []settings.Settings{poll, fetch} {
		if s.LedgerTable != first["LedgerTableName"] || s.BudgetTable != first["BudgetTableName"] ||
			s.EventBus != first["EventBusName"] || s.SecretID == "" {
			t.Errorf("the function's settings are %+v, the stack's outputs %q", s, first)
		}
	}
	if fetch.ArchiveBucket != first["EvidenceBucketName"] {
		t.Errorf("the bucket is %q, want %q", fetch.ArchiveBucket, first["EvidenceBucketName"])
	}
	a.checkTables(first)
	a.checkBucket(first["EvidenceBucketName"])
	tables := a.tables()

	second := a.deploy("second", "ExistingLedgerTable="+first["LedgerTableName"],
		"ExistingBudgetTable="+first["BudgetTableName"])
	other, _ := a.settings(second)
	if other.LedgerTable != poll.LedgerTable || other.BudgetTable != poll.BudgetTable {
		t.Errorf("the second stack has tables %q and %q", other.LedgerTable, other.BudgetTable)
	}
	if got := a.tables(); !slices.Equal(got, tables) {
		t.Errorf("with the second stack there are tables %q, want %q", got, tables)
	}
	if other.EventBus == poll.EventBus || other.SecretID == poll.SecretID {
		t.Error("the stacks share more than the tables")
	}

	updated := a.deploy("first", "PackageUriPerMinute=1")
	if !maps.Equal(updated, first) {
		t.Errorf("after an update the outputs are %q, want %q", updated, first)
	}
	if poll, fetch = a.settings(updated); poll.PackageURIPerMinute != 1 || fetch.PackageURIPerMinute != 1 {
		t.Error("the update did not reach the functions")
	}

	a.checkEvidenceSurvives(first, []string{"second", "first"})
	if got := a.tables(); !slices.Equal(got, tables) {
		t.Errorf("after deletion there are tables %q, want %q", got, tables)
	}
}

// checkTables compares the tables with what the code takes for granted.
func (a *account) checkTables(outputs map[string]string) {
	a.t.Helper()
	var ledger, budget []string
	const shape = "Table.[BillingModeSummary.BillingMode, KeySchema[0].AttributeName, " +
		"to_string(length(KeySchema)), to_string(DeletionProtectionEnabled), "
	a.ask(&ledger, "dynamodb", "describe-table", "--table-name", outputs["LedgerTableName"], "--query",
		shape+"GlobalSecondaryIndexes[0].IndexName, GlobalSecondaryIndexes[0].KeySchema[0].AttributeName, "+
			"GlobalSecondaryIndexes[0].KeySchema[1].AttributeName, "+
			"GlobalSecondaryIndexes[0].Projection.ProjectionType, "+
			"AttributeDefinitions[?AttributeName=='dueAt'].AttributeType | [0]]")
	a.ask(&budget, "dynamodb", "describe-table", "--table-name", outputs["BudgetTableName"], "--query",
		shape+"to_string(GlobalSecondaryIndexes)]")
	want := []string{"PAY_PER_REQUEST", "pk", "1", "true"}
	if !slices.Equal(ledger, append(want, "due", "lane", "dueAt", "KEYS_ONLY", "N")) {
		a.t.Errorf("the ledger is %q", ledger)
	}
	if !slices.Equal(budget, append(want, "null")) {
		a.t.Errorf("the budget is %q", budget)
	}
}

// checkBucket leaves Object Lock, encryption and lifecycle out: the local cloud accepts them in a
// template and does nothing.
func (a *account) checkBucket(bucket string) {
	a.t.Helper()
	for _, check := range []struct{ operation, query, want string }{
		{"get-bucket-versioning", "Status", `"Enabled"`},
		{"get-public-access-block", "PublicAccessBlockConfiguration.RestrictPublicBuckets", `true`},
	} {
		var answer any
		a.ask(&answer, "s3api", check.operation, "--bucket", bucket, "--query", check.query)
		if text, _ := json.Marshal(answer); string(text) != check.want {
			a.t.Errorf("%s: got %s, want %s", check.operation, text, check.want)
		}
	}
}

// checkEvidenceSurvives deletes the stacks and reads what was in the bucket of one.
func (a *account) checkEvidenceSurvives(outputs map[string]string, stacks []string) {
	a.t.Helper()
	bucket := outputs["EvidenceBucketName"]
	body := filepath.Join(a.t.TempDir(), "evidence")
	if err := os.WriteFile(body, []byte("evidence"), 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.run("aws", "s3api", "put-object", "--bucket", bucket, "--key", "packages/x.zip", "--body", body)
	for _, stack := range stacks {
		a.run("sam", "delete", "--stack-name", stack, "--no-prompts", "--region", localcloud.Region)
		if out, err := a.try("aws", "cloudformation", "describe-stacks", "--stack-name", stack,
			"--query", "Stacks[?StackStatus!='DELETE_COMPLETE'].StackName"); err == nil &&
			strings.Contains(string(out), stack) {
			a.t.Errorf("stack %s is still there: %s", stack, out)
		}
	}
	again := body + "-again"
	a.run("aws", "s3api", "get-object", "--bucket", bucket, "--key", "packages/x.zip", again)
	text, err := os.ReadFile(again)
	if err != nil || string(text) != "evidence" {
		a.t.Errorf("after the stacks were deleted: got %q, %v", text, err)
	}
	var key string
	a.ask(&key, "kms", "describe-key", "--key-id", outputs["KeyArn"], "--query", "KeyMetadata.KeyState")
	if key != "Enabled" {
		a.t.Errorf("the key of the evidence is %s", key)
	}
}
