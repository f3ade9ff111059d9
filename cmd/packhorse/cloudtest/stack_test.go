//go:build cloud

package cloudtest

import (
	"encoding/json"
	"slices"
	"strings"

	"packhorse/internal/localcloud"
	"packhorse/internal/settings"
)

// settings returns the settings that the two functions of a stack read from their environment.
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

// checkTables compares the tables with the code's assumptions.
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

// checkBucket does not check Object Lock, encryption and lifecycle: the local cloud accepts them in
// a template but ignores them.
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

// checkShared checks that the stacks share only the tables, and that the functions read their
// environment as the template intends.
func (a *account) checkShared(first, second map[string]string) {
	a.t.Helper()
	poll, fetch := a.settings(first)
	other, _ := a.settings(second)
	for _, s := range []settings.Settings{poll, fetch, other} {
		if s.LedgerTable != first["LedgerTableName"] || s.BudgetTable != first["BudgetTableName"] {
			a.t.Errorf("the function's settings are %+v, the first stack's outputs %q", s, first)
		}
	}
	if fetch.LockMode != settings.LockGovernance || fetch.LockDays != lockDays || fetch.LegalHold ||
		fetch.SigningKeyID != first["SigningKeyArn"] {
		a.t.Errorf("evidence is locked with %q, %d days, hold %t, and signed with %q", fetch.LockMode,
			fetch.LockDays, fetch.LegalHold, fetch.SigningKeyID)
	}
	if fetch.ArchiveBucket != first["EvidenceBucketName"] {
		a.t.Errorf("the bucket is %q, want %q", fetch.ArchiveBucket, first["EvidenceBucketName"])
	}
	if other.EventBus == poll.EventBus || other.SecretID == poll.SecretID {
		a.t.Error("the stacks share more than the tables")
	}
}

// deleteStacks deletes the stacks one after another.
func (a *account) deleteStacks(stacks ...string) {
	a.t.Helper()
	for _, stack := range stacks {
		a.run("sam", "delete", "--stack-name", stack, "--no-prompts", "--region", localcloud.Region)
		if out, err := a.try("aws", "cloudformation", "describe-stacks", "--stack-name", stack,
			"--query", "Stacks[?StackStatus!='DELETE_COMPLETE'].StackName"); err == nil &&
			strings.Contains(string(out), stack) {
			a.t.Errorf("stack %s is still there: %s", stack, out)
		}
	}
}

// checkSurvivors checks that evidence and the record of its custody outlived the stacks.
func (a *account) checkSurvivors(stacks []map[string]string, tables []string) {
	a.t.Helper()
	if got := a.tables(); !slices.Equal(got, tables) {
		a.t.Errorf("after deletion there are tables %q, want %q", got, tables)
	}
	var buckets []string
	a.ask(&buckets, "s3api", "list-buckets", "--query", "Buckets[].Name")
	for _, outputs := range stacks {
		if !slices.Contains(buckets, outputs["EvidenceBucketName"]) {
			a.t.Errorf("bucket %s is gone", outputs["EvidenceBucketName"])
		}
		for _, name := range []string{"KeyArn", "SigningKeyArn", "CertificateKeyArn"} {
			if outputs[name] == "" {
				continue // another kind of credential
			}
			var state string
			a.ask(&state, "kms", "describe-key", "--key-id", outputs[name],
				"--query", "KeyMetadata.KeyState")
			if state != "Enabled" {
				a.t.Errorf("%s is %s", name, state)
			}
		}
	}
}
