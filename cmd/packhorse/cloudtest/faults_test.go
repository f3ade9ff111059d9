//go:build cloud

package cloudtest

import (
	"fmt"
	"path"
	"strings"

	"packhorse/internal/doctor"
)

// fault is one way in which a stack is broken.
type fault struct {
	name   string
	breaks []string // commands
	check  string   // the one check that finds it
	state  doctor.State
	says   string   // part of what it finds
	mends  string   // a command, if the advice is for a person and has none
	then   []string // checks that speak only after that, and whose advice is to be followed next
}

// faults returns all of them.
func (p *patient) faults() []fault {
	return slicesOf(p.eventFaults(), p.functionFaults(), p.tableFaults(), p.bucketFaults(), p.keyFaults(), p.otherFaults())
}

func slicesOf(parts ...[]fault) []fault {
	var all []fault
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

func (p *patient) eventFaults() []fault {
	bus, fetch := p.outputs["EventBusName"], p.outputs["FetchPackageFunctionName"]
	var rule, tickRole string
	p.ask(&rule, "events", "list-rules", "--event-bus-name", bus, "--query", "Rules[0].Name")
	p.ask(&tickRole, "scheduler", "get-schedule", "--name", p.stack+"-tick", "--query", "Target.RoleArn")
	const lambda = "arn:aws:lambda:us-east-1:000000000000:function:"
	ofRule := " --event-bus-name " + bus + " --rule " + rule
	const target = " --ids FetchPackageFunctionReadyLambdaTarget"
	schedule := func(state, function string) string {
		return "aws scheduler update-schedule --name " + p.stack + "-tick --state " + state +
			" --schedule-expression 'rate(1 minute)' --flexible-time-window Mode=OFF --target " +
			word(map[string]string{"Arn": lambda + function, "RoleArn": tickRole})
	}
	return []fault{
		{name: "schedule disabled", check: "schedule", state: doctor.Failed, says: "is disabled",
			breaks: []string{schedule("DISABLED", p.outputs["PollFunctionName"])}},
		{name: "schedule starts another function", check: "schedule", state: doctor.Failed, says: "not arn:",
			breaks: []string{schedule("ENABLED", fetch)}},
		{name: "rule disabled", check: "rule", state: doctor.Failed, says: "is disabled",
			breaks: []string{"aws events disable-rule --event-bus-name " + bus + " --name " + rule}},
		{name: "rule without its target", check: "rule", state: doctor.Failed, says: "does not start " + fetch,
			breaks: []string{"aws events remove-targets" + ofRule + target}},
		{name: "rule without dead letters", check: "rule", state: doctor.Warning, says: "does not keep events",
			breaks: []string{"aws events put-targets" + ofRule + " --targets " + word([]map[string]string{
				{"Id": "FetchPackageFunctionReadyLambdaTarget", "Arn": lambda + fetch},
			})}},
		{name: "rule for other events", check: "rule", state: doctor.Failed, says: "other events",
			breaks: []string{"aws events put-rule --event-bus-name " + bus + " --name " + rule +
				` --event-pattern '{"source":["elsewhere"]}'`}},
		{name: "rule deleted", check: "rule", state: doctor.Failed, says: "does not exist",
			breaks: []string{"aws events remove-targets" + ofRule + target,
				"aws events delete-rule --event-bus-name " + bus + " --name " + rule}},
		{name: "bus deleted", check: "bus", state: doctor.Failed, says: "does not exist", then: []string{"rule"},
			breaks: []string{"aws events remove-targets" + ofRule + target,
				"aws events delete-rule --event-bus-name " + bus + " --name " + rule,
				"aws events delete-event-bus --name " + bus}},
		{name: "an event was not delivered", check: "queue", state: doctor.Warning, says: "1 events",
			breaks: []string{"aws sqs send-message --queue-url " + p.outputs["UndeliveredQueueUrl"] + " --message-body x"}},
	}
}

func (p *patient) functionFaults() []fault {
	poll, fetch := p.outputs["PollFunctionName"], p.outputs["FetchPackageFunctionName"]
	setting := func(function, name, value string) []string {
		environ := map[string]string{}
		p.ask(&environ, "lambda", "get-function-configuration", "--function-name", function,
			"--query", "Environment.Variables")
		environ[name] = value
		return []string{"aws lambda update-function-configuration --function-name " + function + " --environment " +
			word(map[string]any{"Variables": environ})}
	}
	var role string
	var policy any
	p.ask(&role, "lambda", "get-function-configuration", "--function-name", fetch, "--query", "Role")
	role = path.Base(role)
	p.ask(&policy, "iam", "get-role-policy", "--policy-name", "fetch-package", "--role-name", role, "--query", "PolicyDocument")
	withSecret := setting(fetch, "DEFENDER_CLIENT_SECRET", "in-the-open")
	return []fault{
		{name: "a secret in the environment", check: "fetch.settings", state: doctor.Failed, says: "DEFENDER_CLIENT_SECRET",
			breaks: withSecret},
		{name: "another tenant", check: "poll.settings", state: doctor.Failed, says: "DEFENDER_TENANT_ID",
			breaks: setting(poll, "DEFENDER_TENANT_ID", "00000000-0000-4000-8000-000000000000")},
		{name: "other link hosts", check: "fetch.settings", state: doctor.Failed, says: "DEFENDER_LINK_HOSTS",
			breaks: setting(fetch, "DEFENDER_LINK_HOSTS", ".example.com")},
		{name: "a setting that cannot be read", check: "fetch.settings", state: doctor.Failed, says: "LOOKBACK",
			breaks: setting(fetch, "LOOKBACK", "soon")},
		{name: "another role", check: "fetch.function", state: doctor.Failed, says: "runs as",
			breaks: []string{"aws lambda update-function-configuration --function-name " + fetch +
				" --role arn:aws:iam::000000000000:role/other"}},
		{name: "a role without its policy", check: "fetch.permissions", state: doctor.Failed, says: "is not allowed logs:CreateLogStream",
			breaks: []string{"aws iam delete-role-policy --policy-name fetch-package --role-name " + role},
			mends:  "aws iam put-role-policy --policy-name fetch-package --role-name " + role + " --policy-document " + word(policy)},
		{name: "no concurrency", check: "fetch.concurrency", state: doctor.Failed, says: "may not run",
			breaks: []string{"aws lambda put-function-concurrency --function-name " + fetch +
				" --reserved-concurrent-executions 0"}},
	}
}

func (p *patient) tableFaults() []fault {
	ledger, budget := p.outputs["LedgerTableName"], p.outputs["BudgetTableName"]
	// The local cloud does not keep a backup of a deleted table, as DynamoDB does.
	backup := "aws dynamodb create-backup --backup-name system --table-name " + ledger
	unprotect := "aws dynamodb update-table --no-deletion-protection-enabled --table-name " + ledger
	return []fault{
		{name: "no ledger", check: "ledger.table", state: doctor.Failed, says: "does not exist",
			breaks: []string{backup, unprotect, "aws dynamodb delete-table --table-name " + ledger},
			then:   []string{"ledger.table", "ledger.backups"}},
		{name: "no index", check: "ledger.index", state: doctor.Failed, says: "due(lane,dueAt)",
			breaks: []string{"aws dynamodb update-table --table-name " + ledger +
				` --global-secondary-index-updates '[{"Delete":{"IndexName":"due"}}]'`}},
		{name: "table not protected", check: "budget.table", state: doctor.Warning, says: "deletion protection is off",
			breaks: []string{"aws dynamodb update-table --table-name " + budget + " --no-deletion-protection-enabled"}},
		{name: "no backups", check: "ledger.backups", state: doctor.Warning, says: "is off",
			breaks: []string{"aws dynamodb update-continuous-backups --table-name " + ledger +
				" --point-in-time-recovery-specification PointInTimeRecoveryEnabled=false"}},
		{name: "items expire", check: "budget.expiry", state: doctor.Failed, says: "expire",
			breaks: []string{"aws dynamodb update-time-to-live --table-name " + budget +
				" --time-to-live-specification Enabled=true,AttributeName=dueAt"}},
	}
}

func (p *patient) bucketFaults() []fault {
	bucket := p.outputs["EvidenceBucketName"]
	var policy string
	p.ask(&policy, "s3api", "get-bucket-policy", "--bucket", bucket, "--query", "Policy")
	without := strings.Replace(policy, `"s3:PutObject*"`, `"s3:PutObjectTagging"`, 1)
	if without == policy {
		p.t.Fatalf("the policy is %s", policy)
	}
	return []fault{
		{name: "versioning suspended", check: "bucket.versioning", state: doctor.Failed, says: "suspended",
			breaks: []string{"aws s3api put-bucket-versioning --bucket " + bucket +
				" --versioning-configuration Status=Suspended"}},
		{name: "no policy", check: "bucket.policy", state: doctor.Failed, says: "does not exist",
			breaks: []string{"aws s3api delete-bucket-policy --bucket " + bucket}},
		{name: "a denial that denies less", check: "bucket.policy", state: doctor.Failed, says: "lacks the template's OnlyTheFunctionWrites",
			breaks: []string{"aws s3api put-bucket-policy --bucket " + bucket + " --policy '" + without + "'"}},
		{name: "no default lock", check: "bucket.lock", state: doctor.Failed, says: "no default",
			breaks: []string{"aws s3api put-object-lock-configuration --bucket " + bucket +
				` --object-lock-configuration '{"ObjectLockEnabled":"Enabled"}'`}},
		{name: "another key encrypts", check: "bucket.encryption", state: doctor.Failed, says: "AES256",
			breaks: []string{"aws s3api put-bucket-encryption --bucket " + bucket + " --server-side-encryption-configuration " +
				`'{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'`}},
		{name: "open to the public", check: "bucket.public", state: doctor.Failed, says: "not blocked",
			breaks: []string{"aws s3api delete-public-access-block --bucket " + bucket}},
	}
}

func (p *patient) keyFaults() []fault {
	key, signing := p.outputs["KeyArn"], p.outputs["SigningKeyArn"]
	root := word(map[string]any{"Version": "2012-10-17", "Statement": []any{map[string]any{
		"Sid": "TheAccountDecides", "Effect": "Allow", "Action": "kms:*", "Resource": "*",
		"Principal": map[string]string{"AWS": "arn:aws:iam::000000000000:root"},
	}}})
	return []fault{
		{name: "key disabled", check: "key", state: doctor.Failed, says: "is disabled",
			breaks: []string{"aws kms disable-key --key-id " + key}},
		{name: "signing key about to be deleted", check: "signing", state: doctor.Failed, says: "will be deleted on 20",
			breaks: []string{"aws kms schedule-key-deletion --pending-window-in-days 30 --key-id " + signing}},
		{name: "key not rotated", check: "key.rotation", state: doctor.Warning, says: "off",
			breaks: []string{"aws kms disable-key-rotation --key-id " + key}},
		{name: "anybody may sign", check: "signing.policy", state: doctor.Failed, says: "OnlyTheFunctionSigns",
			breaks: []string{"aws kms put-key-policy --policy-name default --key-id " + signing + " --policy " + root}},
		{name: "anybody may delete the key", check: "key.policy", state: doctor.Failed, says: "OnlyBreakGlassTakesTheKeyAway",
			breaks: []string{"aws kms put-key-policy --policy-name default --key-id " + key + " --policy " + root}},
	}
}

func (p *patient) otherFaults() []fault {
	var alarm, secret string
	p.ask(&alarm, "cloudwatch", "describe-alarms", "--alarm-name-prefix", p.stack+"-StrangerAlarm",
		"--query", "MetricAlarms[0].AlarmName")
	poll, _ := p.settings(p.outputs)
	secret = poll.SecretID
	group := p.outputs["FetchPackageLogGroupName"]
	store := func(value string) []string {
		return []string{"aws secretsmanager put-secret-value --secret-id " + secret + " --secret-string '" + value + "'"}
	}
	state := func(to string) string {
		return fmt.Sprintf("aws cloudwatch set-alarm-state --alarm-name %s --state-reason x --state-value %s", alarm, to)
	}
	return []fault{
		{name: "the placeholder", check: "secret", state: doctor.Failed, says: "placeholder",
			breaks: store(`{"client_secret":"replace-me"}`)},
		{name: "secret deleted", check: "secret", state: doctor.Failed, says: "marked for deletion",
			breaks: []string{"aws secretsmanager delete-secret --secret-id " + secret}},
		{name: "a secret of another form", check: "secret", state: doctor.Failed, says: "client_secret",
			breaks: store(`{"password":"x"}`)},
		{name: "an alarm", check: "alarms", state: doctor.Warning, says: alarm,
			breaks: []string{state("ALARM")}, mends: state("OK")},
		{name: "an alarm that tells nobody", check: "alarms.actions", state: doctor.Warning, says: alarm,
			breaks: []string{"aws cloudwatch disable-alarm-actions --alarm-names " + alarm}},
		{name: "logs kept too short", check: "fetch.logs", state: doctor.Warning, says: "1 day",
			breaks: []string{"aws logs put-retention-policy --retention-in-days 1 --log-group-name " + group}},
		{name: "no log group", check: "fetch.logs", state: doctor.Failed, says: "does not exist",
			breaks: []string{"aws logs delete-log-group --log-group-name " + group}},
	}
}
