package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"packhorse/internal/cfn"
	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

const arn = "arn:aws:lambda:us-east-1:123456789012:function:"

// roles are the functions' roles, as package cfn names them.
var roles = map[string]string{
	"pk-poll":  "arn:aws:iam::" + cfn.Account + ":role/PollRole",
	"pk-fetch": "arn:aws:iam::" + cfn.Account + ":role/FetchPackageRole",
}

func still[T any](value T) doctor.Look[T] {
	return func(context.Context) (T, error) { return value, nil }
}

func failing[T any](err error) doctor.Look[T] {
	return func(context.Context) (T, error) {
		var none T
		return none, err
	}
}

// template is parsed once, and deployed once without parameters.
var (
	template = sync.OnceValues(func() (*cfn.Template, error) { return cfn.Load("../../template.yaml") })
	usual    = sync.OnceValues(func() (map[string]string, error) { return policies(nil) })
)

// policies returns the policies of the template, as JSON, with the parameters.
func policies(parameters map[string]string) (map[string]string, error) {
	template, err := template()
	if err != nil {
		return nil, err
	}
	all := map[string]string{
		"DefenderTenantId": "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", "DefenderClientId": "2b7e1516-28ae-4d2a-abf7-158809cf4f3c",
	}
	for name, value := range parameters {
		all[name] = value
	}
	stack, err := template.Deploy(all)
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for name, property := range map[string]string{
		"EvidenceBucketPolicy": "PolicyDocument", "Key": "KeyPolicy", "SigningKey": "KeyPolicy",
	} {
		text, err := json.Marshal(stack[name].Properties[property])
		if err != nil {
			return nil, err
		}
		texts[name] = string(text)
	}
	return texts, nil
}

// healthy returns a perfect stack, whose policies are the template's.
func healthy(t *testing.T) doctor.StackPorts {
	t.Helper()
	texts, err := usual()
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"DEFENDER_TENANT_ID": "t", "LOOKBACK": "168h"}
	function := func(name string) doctor.StackFunction {
		return doctor.StackFunction{
			ARN: arn + name, Role: roles[name], Architecture: "arm64", State: "Active", Update: "Successful",
			Environment: environment,
		}
	}
	p := doctor.StackPorts{
		Now: func() time.Time { return now },
		Want: doctor.StackWanted{
			Name: "pk", Region: "us-east-1", Account: cfn.Account, Partition: "aws", Tenant: "t",
			PollName: "pk-poll", FetchName: "pk-fetch", PollARN: arn + "pk-poll", FetchARN: arn + "pk-fetch",
			PollRole: roles["pk-poll"], FetchRole: roles["pk-fetch"], Architecture: "arm64", Schedule: "pk-tick", Bus: "pk", Rule: "ready",
			QueueURL: "https://sqs/pk", QueueARN: "arn:aws:sqs:us-east-1:123456789012:pk", Ledger: "ledger", Budget: "budget",
			Bucket: "EvidenceBucket", LockMode: "GOVERNANCE", LockDays: 365, KeyARN: "key", SigningKeyARN: "signing",
			PollLogs: "/aws/lambda/pk-poll", FetchLogs: "/aws/lambda/pk-fetch", LogDays: 365, Kind: tenant.ClientSecret, Secret: "secret", Topic: "topic",
			PollVariables: environment, FetchVariables: environment,
		},
		Stack: still(doctor.StackState{
			Status: "UPDATE_COMPLETE", TemplateVersion: strconv.Itoa(doctor.TemplateVersion),
		}),
		Poll: still(function("pk-poll")), Fetch: still(function("pk-fetch")),
		PollConcurrency: still(doctor.StackConcurrency{}), FetchConcurrency: still(doctor.StackConcurrency{}),
		PollMay: still(doctor.StackPermissions{Of: 9}), FetchMay: still(doctor.StackPermissions{Of: 9}),
		Account: still(doctor.StackAccount{Limit: 1000, Unreserved: 900}),
		Schedule: still(doctor.StackSchedule{
			Name: "pk-tick", Group: "default", Expression: "rate(1 minute)", Enabled: true, Target: arn + "pk-poll", Role: "role/tick",
		}),
		Bus: still(doctor.StackBus{Name: "pk"}),
		Rule: still(doctor.StackRule{
			Name: "ready", Enabled: true,
			Pattern: `{"detail-type": ["Investigation Package Ready", "Investigation Package Settled"], "source": ["packhorse"]}`,
			Targets: []doctor.StackTarget{{ID: "1", ARN: arn + "pk-fetch", DeadLetters: "arn:aws:sqs:us-east-1:123456789012:pk"}},
		}),
		Queue: still(doctor.StackQueue{}),
		Ledger: still(doctor.StackTable{
			Status: "ACTIVE", Key: "pk", Protected: true,
			Indexes: []doctor.StackIndex{{Name: "due", Key: "(lane,dueAt)", Status: "ACTIVE"}},
		}),
		Budget:        still(doctor.StackTable{Status: "ACTIVE", Key: "pk", Protected: true}),
		LedgerBackups: still(true), BudgetBackups: still(true), LedgerTTL: still(false), BudgetTTL: still(false),
		Bucket: still(doctor.StackBucket{Region: "us-east-1"}), Versioning: still("Enabled"),
		Lock:         still(doctor.StackLock{Enabled: true, Mode: "GOVERNANCE", Days: 365}),
		Encryption:   still(doctor.StackEncryption{Algorithm: "aws:kms", Key: "key"}),
		PublicAccess: still(true), BucketPolicy: still(texts["EvidenceBucketPolicy"]),
		Key:        still(doctor.StackKey{State: "Enabled", Spec: "SYMMETRIC_DEFAULT", Usage: "ENCRYPT_DECRYPT"}),
		SigningKey: still(doctor.StackKey{State: "Enabled", Spec: "ECC_NIST_P256", Usage: "SIGN_VERIFY"}),
		KeyPolicy:  still(texts["Key"]), SigningKeyPolicy: still(texts["SigningKey"]), KeyRotation: still(true),
		PollLogs: still(doctor.StackLogs{Days: 365}), FetchLogs: still(doctor.StackLogs{Days: 365}),
		Alarms: still([]doctor.StackAlarm{{Name: "silent", State: "OK", Notifies: true}}),
		Secret: still(doctor.StackSecret{}),
		Sweeps: still([]doctor.StackSweep{{Tenant: "t", Health: tenant.Health{SweptAt: now.Add(-time.Minute)}}}),
		Work:   still(doctor.StackWork{Records: 7}),
	}
	return p
}

func run(t *testing.T, p doctor.StackPorts) map[string]doctor.Result {
	t.Helper()
	results := map[string]doctor.Result{}
	for _, r := range doctor.Run(t.Context(), doctor.Stack(p), func(doctor.Result) {}) {
		if _, twice := results[r.Name]; twice || r.Looks == "" || r.Area == "" {
			t.Errorf("check %q is twice there, or says nothing of itself", r.Name)
		}
		if strings.ContainsAny(r.Text+r.Advice, "\n\t") || r.Text == "" {
			t.Errorf("%s: the finding is not one line: %q, %q", r.Name, r.Text, r.Advice)
		}
		if (r.State == doctor.OK) != (r.Advice == "") && r.State != doctor.Skipped {
			t.Errorf("%s is %s, with the advice %q", r.Name, r.State, r.Advice)
		}
		results[r.Name] = r
	}
	return results
}

func TestHealthyStack(t *testing.T) {
	t.Parallel()
	for name, r := range run(t, healthy(t)) {
		if r.State != doctor.OK {
			t.Errorf("%s is %s: %s", name, r.State, r.Text)
		}
	}
}

// edit changes a fact of a perfect stack.
func edit[T any](look *doctor.Look[T], change func(*T)) {
	value, err := (*look)(context.Background())
	change(&value)
	*look = func(context.Context) (T, error) { return value, err }
}

func TestBrokenStacks(t *testing.T) {
	t.Parallel()
	type S = doctor.StackPorts
	status := func(text string) func(*S) {
		return func(p *S) { edit(&p.Stack, func(s *doctor.StackState) { s.Status = text }) }
	}
	version := func(text string) func(*S) {
		return func(p *S) { edit(&p.Stack, func(s *doctor.StackState) { s.TemplateVersion = text }) }
	}
	tests := []struct {
		check  string
		state  doctor.State
		says   string // in text or advice
		breaks func(*S)
	}{
		{"stack.status", doctor.Failed, "continue-update-rollback", status("UPDATE_ROLLBACK_FAILED")},
		{"stack.status", doctor.Failed, "describe-stack-events", status("CREATE_FAILED")},
		{"stack.status", doctor.Failed, "describe-stack-events", status("ROLLBACK_COMPLETE")},
		{"stack.status", doctor.Failed, "DELETE_IN_PROGRESS", status("DELETE_IN_PROGRESS")},
		{"stack.status", doctor.Warning, "the one before it is in place", status("UPDATE_ROLLBACK_COMPLETE")},
		{"stack.status", doctor.Warning, "wait", status("UPDATE_IN_PROGRESS")},
		{"stack.status", doctor.Warning, "drifts", func(p *S) { edit(&p.Stack, func(s *doctor.StackState) { s.Drifted = true }) }},
		{"stack.template", doctor.Warning, "older than version 1", version("")},
		{"stack.template", doctor.Warning, "version 0, this", version("0")},
		{"stack.template", doctor.Warning, "use a newer packhorse", version("999")},
		{"stack.template", doctor.Warning, "not a number", version("x")},
		{"poll.function", doctor.Failed, "is Failed: no subnet", func(p *S) {
			edit(&p.Poll, func(f *doctor.StackFunction) { f.State, f.StateReason = "Failed", "no subnet" })
		}},
		{"fetch.function", doctor.Failed, "last update", func(p *S) {
			edit(&p.Fetch, func(f *doctor.StackFunction) { f.Update = "Failed" })
		}},
		{"fetch.function", doctor.Warning, "wait function-updated", func(p *S) {
			edit(&p.Fetch, func(f *doctor.StackFunction) { f.Update = "InProgress" })
		}},
		{"fetch.function", doctor.Failed, "runs as other", func(p *S) {
			edit(&p.Fetch, func(f *doctor.StackFunction) { f.Role = "other" })
		}},
		{"poll.function", doctor.Failed, "x86_64", func(p *S) {
			edit(&p.Poll, func(f *doctor.StackFunction) { f.Architecture = "x86_64" })
		}},
		{"poll.settings", doctor.Failed, "DEFENDER_TENANT_ID, LOOKBACK", func(p *S) {
			edit(&p.Poll, func(f *doctor.StackFunction) {
				f.Environment = map[string]string{"DEFENDER_TENANT_ID": "other", "MINE": "1"}
			})
		}},
		{"fetch.settings", doctor.Failed, "SIGNING_KEY_ID is missing", func(p *S) {
			edit(&p.Fetch, func(f *doctor.StackFunction) { f.Settings = "SIGNING_KEY_ID is missing" })
		}},
		{"poll.concurrency", doctor.Failed, "delete-function-concurrency", func(p *S) {
			p.PollConcurrency = still(doctor.StackConcurrency{Reserved: true})
		}},
		{"fetch.concurrency", doctor.Warning, "2 reserved invocations, the stack says 5", func(p *S) {
			p.Want.FetchRate, p.FetchConcurrency = 5, still(doctor.StackConcurrency{Reserved: true, Limit: 2})
		}},
		{"fetch.concurrency", doctor.Warning, "--reserved-concurrent-executions 5", func(p *S) { p.Want.FetchRate = 5 }},
		{"fetch.concurrency", doctor.OK, "5 reserved", func(p *S) {
			p.Want.FetchRate, p.FetchConcurrency = 5, still(doctor.StackConcurrency{Reserved: true, Limit: 5})
		}},
		{"fetch.permissions", doctor.Failed, "FetchPackageRole is not allowed s3:PutObject on x", func(p *S) {
			p.FetchMay = still(doctor.StackPermissions{Lacks: []string{"s3:PutObject on x"}, Of: 9})
		}},
		{"account.concurrency", doctor.Warning, "only 9", func(p *S) {
			p.Account = still(doctor.StackAccount{Limit: 10, Unreserved: 9})
		}},
		{"account.concurrency", doctor.Failed, "nothing is left", func(p *S) {
			p.Account = still(doctor.StackAccount{Limit: 10})
		}},
		{"schedule", doctor.Failed, "PollState=ENABLED", func(p *S) {
			p.Want.PollPaused = true
			edit(&p.Schedule, func(s *doctor.StackSchedule) { s.Enabled = false })
		}},
		{"schedule", doctor.Failed, "--state ENABLED", func(p *S) {
			edit(&p.Schedule, func(s *doctor.StackSchedule) { s.Enabled = false })
		}},
		{"schedule", doctor.Failed, "starts x", func(p *S) {
			edit(&p.Schedule, func(s *doctor.StackSchedule) { s.Target = "x" })
		}},
		{"schedule", doctor.Warning, "rate(1 day)", func(p *S) {
			edit(&p.Schedule, func(s *doctor.StackSchedule) { s.Expression = "rate(1 day)" })
		}},
		{"rule", doctor.Failed, "enable-rule", func(p *S) { edit(&p.Rule, func(r *doctor.StackRule) { r.Enabled = false }) }},
		{"rule", doctor.Failed, "put-targets", func(p *S) { edit(&p.Rule, func(r *doctor.StackRule) { r.Targets = nil }) }},
		{"rule", doctor.Failed, "put-rule", func(p *S) { edit(&p.Rule, func(r *doctor.StackRule) { r.Pattern = "{}" }) }},
		{"rule", doctor.Warning, `"Id":"9"`, func(p *S) {
			edit(&p.Rule, func(r *doctor.StackRule) { r.Targets = []doctor.StackTarget{{ID: "9", ARN: arn + "pk-fetch"}} })
		}},
		{"queue", doctor.Warning, "3 events", func(p *S) { p.Queue = still(doctor.StackQueue{Messages: 3}) }},
		{"ledger.table", doctor.Failed, "has the key id, not pk", func(p *S) {
			edit(&p.Ledger, func(s *doctor.StackTable) { s.Key = "id" })
		}},
		{"ledger.table", doctor.Failed, "is DELETING", func(p *S) {
			edit(&p.Ledger, func(s *doctor.StackTable) { s.Status = "DELETING" })
		}},
		{"budget.table", doctor.Warning, "--deletion-protection-enabled", func(p *S) {
			edit(&p.Budget, func(s *doctor.StackTable) { s.Protected = false })
		}},
		{"ledger.index", doctor.Failed, "KEYS_ONLY", func(p *S) {
			edit(&p.Ledger, func(s *doctor.StackTable) { s.Indexes = []doctor.StackIndex{{Name: "due", Key: "(dueAt)"}} })
		}},
		{"ledger.index", doctor.Failed, "is CREATING", func(p *S) {
			edit(&p.Ledger, func(s *doctor.StackTable) {
				s.Indexes = []doctor.StackIndex{{Name: "due", Key: "(lane,dueAt)", Status: "CREATING"}}
			})
		}},
		{"ledger.backups", doctor.Warning, "update-continuous-backups", func(p *S) { p.LedgerBackups = still(false) }},
		{"budget.expiry", doctor.Failed, "update-time-to-live", func(p *S) { p.BudgetTTL = still(true) }},
		{"bucket", doctor.Failed, "eu-west-1", func(p *S) { p.Bucket = still(doctor.StackBucket{Region: "eu-west-1"}) }},
		{"bucket.versioning", doctor.Failed, "off", func(p *S) { p.Versioning = still("") }},
		{"bucket.lock", doctor.Failed, "Object Lock is off", func(p *S) { p.Lock = still(doctor.StackLock{}) }},
		{"bucket.lock", doctor.Failed, `"Mode":"GOVERNANCE","Days":365`, func(p *S) { p.Lock = still(doctor.StackLock{Enabled: true}) }},
		{"bucket.lock", doctor.Warning, "COMPLIANCE for 1 days", func(p *S) {
			p.Lock = still(doctor.StackLock{Enabled: true, Mode: "COMPLIANCE", Days: 1})
		}},
		{"bucket.lock", doctor.Warning, "ObjectLockMode is NONE", func(p *S) {
			p.Want.LockMode, p.Lock = "NONE", still(doctor.StackLock{Enabled: true})
		}},
		{"bucket.encryption", doctor.Failed, "aws:kms with other", func(p *S) {
			p.Encryption = still(doctor.StackEncryption{Algorithm: "aws:kms", Key: "other"})
		}},
		{"bucket.encryption", doctor.Failed, "is off", func(p *S) { p.Encryption = still(doctor.StackEncryption{}) }},
		{"bucket.public", doctor.Failed, "RestrictPublicBuckets=true", func(p *S) { p.PublicAccess = still(false) }},
		{"bucket.policy", doctor.Failed, "cannot be read", func(p *S) { p.BucketPolicy = still("x") }},
		{"bucket.policy", doctor.Failed, "put-bucket-policy", func(p *S) {
			p.BucketPolicy = failing[string](&doctor.MissingError{What: "the policy"})
		}},
		{"bucket.conditions", doctor.Skipped, "another S3", func(p *S) { p.Want.OtherS3 = "http://127.0.0.1" }},
		{"key", doctor.Failed, "enable-key", func(p *S) { edit(&p.Key, func(k *doctor.StackKey) { k.State = "Disabled" }) }},
		{"key", doctor.Failed, "cancel-key-deletion", func(p *S) {
			edit(&p.Key, func(k *doctor.StackKey) { k.State, k.DeletedAt = "PendingDeletion", now })
		}},
		{"signing", doctor.Failed, "RSA_2048", func(p *S) { edit(&p.SigningKey, func(k *doctor.StackKey) { k.Spec = "RSA_2048" }) }},
		{"signing", doctor.Failed, "Unavailable", func(p *S) {
			edit(&p.SigningKey, func(k *doctor.StackKey) { k.State = "Unavailable" })
		}},
		{"key.rotation", doctor.Warning, "enable-key-rotation", func(p *S) { p.KeyRotation = still(false) }},
		{"key.policy", doctor.Failed, "OnlyBreakGlassTakesTheKeyAway", func(p *S) { p.KeyPolicy = still("{}") }},
		{"poll.logs", doctor.Warning, "forever", func(p *S) { p.PollLogs = still(doctor.StackLogs{}) }},
		{"fetch.logs", doctor.Failed, "create-log-group --log-group-name /aws/lambda/pk-fetch --kms-key-id data", func(p *S) {
			p.Want.DataKey, p.FetchLogs = "data", failing[doctor.StackLogs](&doctor.MissingError{What: "the log group"})
		}},
		{"alarms", doctor.Warning, "what to do", func(p *S) {
			edit(&p.Alarms, func(a *[]doctor.StackAlarm) {
				*a = []doctor.StackAlarm{{Name: "silent", State: "ALARM", Description: "what to do", Notifies: true}}
			})
		}},
		{"alarms.actions", doctor.Warning, "AlarmTopicArn", func(p *S) {
			p.Want.Topic, p.Alarms = "", still([]doctor.StackAlarm{{Name: "silent", State: "OK"}})
		}},
		{"alarms.actions", doctor.Warning, "enable-alarm-actions --alarm-names silent", func(p *S) {
			p.Alarms = still([]doctor.StackAlarm{{Name: "silent", State: "OK"}})
		}},
		{"secret", doctor.Failed, "placeholder", func(p *S) { p.Secret = still(doctor.StackSecret{Placeholder: true}) }},
		{"secret", doctor.Failed, "restore-secret", func(p *S) { p.Secret = still(doctor.StackSecret{Deleted: true}) }},
		{"ledger.table", doctor.Failed, "restore-table-from-backup", func(p *S) {
			p.Ledger = failing[doctor.StackTable](&doctor.MissingError{What: "the table"})
		}},
		{"secret", doctor.Failed, "it is binary", func(p *S) { p.Secret = still(doctor.StackSecret{Problem: "it is binary"}) }},
		{"sweeps", doctor.Failed, "5 min ago", func(p *S) {
			edit(&p.Sweeps, func(s *[]doctor.StackSweep) { (*s)[0].SweptAt = now.Add(-5*time.Minute - time.Second) })
		}},
		{"sweeps", doctor.Warning, "never swept", func(p *S) { p.Sweeps = still([]doctor.StackSweep{{Tenant: "t"}}) }},
		{"sweeps", doctor.Failed, "t fails since 2026-03-04T04:06:07Z: no token; u was never swept", func(p *S) {
			p.Sweeps = still([]doctor.StackSweep{
				{Tenant: "t", Health: tenant.Health{FailingSince: now.Add(-time.Hour), Message: "no token"}}, {Tenant: "u"},
			})
		}},
		{"sweeps", doctor.Warning, "503", func(p *S) {
			p.Sweeps = still([]doctor.StackSweep{{Tenant: "t", Health: tenant.Health{FailingSince: now, Message: "503"}}})
		}},
		{"packages", doctor.Warning, "4 objects in the archive are not Packhorse's: a, b, c and 1 more", func(p *S) {
			p.Work = still(doctor.StackWork{Strangers: []string{"a", "b", "c", "d"}})
		}},
		{"packages", doctor.Warning, "oldest is id, for 7 h: the link host is not allowed", func(p *S) {
			p.Work = still(doctor.StackWork{Stuck: []doctor.StackStuck{
				{Action: "id", Message: "the link host is not allowed", Since: now.Add(-7 * time.Hour)},
			}})
		}},
	}
	for _, test := range tests {
		p := healthy(t)
		test.breaks(&p)
		results := run(t, p)
		r := results[test.check]
		if r.State != test.state || !strings.Contains(r.Text+" "+r.Advice, test.says) {
			t.Errorf("%s is %s, want %s with %q: %s; %s", test.check, r.State, test.state, test.says, r.Text, r.Advice)
		}
		for name, other := range results {
			if name != test.check && other.State != doctor.OK && !strings.HasPrefix(other.Text, "needs ") {
				t.Errorf("%s, after %s: %s is %s: %s", test.check, test.says, name, other.State, other.Text)
			}
		}
	}
}

// Without a permission exactly the checks that need it are skipped, and they name it.
func TestDeniedLooks(t *testing.T) {
	t.Parallel()
	looks := reflect.TypeFor[doctor.StackPorts]()
	for i := range looks.NumField() {
		field := looks.Field(i)
		if field.Name == "Now" || field.Name == "Want" || field.Name == "OwnBucket" { // only of one tenant of several
			continue
		}
		for _, err := range []error{&doctor.DeniedError{Action: "service:Action"}, errors.New("no route to host")} {
			answer := []reflect.Value{reflect.Zero(field.Type.Out(0)), reflect.ValueOf(&err).Elem()}
			skipped := 0
			for _, kind := range tenant.Kinds() {
				p := healthyAs(t, kind)
				reflect.ValueOf(&p).Elem().Field(i).Set(reflect.MakeFunc(field.Type,
					func([]reflect.Value) []reflect.Value { return answer }))
				for name, r := range run(t, p) {
					switch {
					case r.State == doctor.OK, strings.HasPrefix(r.Text, "needs "):
					case r.State == doctor.Skipped && (strings.Contains(r.Text, "service:Action") || strings.Contains(r.Text, err.Error())):
						skipped++
					default:
						t.Errorf("without %s: %s is %s: %s", field.Name, name, r.State, r.Text)
					}
				}
			}
			if skipped == 0 {
				t.Errorf("no check uses %s", field.Name)
			}
		}
	}
}

// The doctor knows every statement of the template, whatever its parameters, and misses each that is gone or weaker.
func TestPoliciesAreTheTemplates(t *testing.T) {
	t.Parallel()
	const glass, writer = "arn:aws:iam::123456789012:role/glass", "arn:aws:iam::123456789012:role/writer"
	for _, parameters := range []map[string]string{nil, {"BreakGlassPrincipalArn": glass, "EvidenceWriters": writer}} {
		texts, err := policies(parameters)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range texts {
			var policy struct {
				Version   string
				Statement []map[string]any
			}
			if err := json.Unmarshal([]byte(text), &policy); err != nil {
				t.Fatal(err)
			}
			judge := func(statements []map[string]any) doctor.Result {
				policy.Statement = statements
				text, _ := json.Marshal(policy)
				p := healthy(t)
				if parameters != nil {
					p.Want.BreakGlass, p.Want.Writers = glass, []string{writer}
				}
				switch name {
				case "Key":
					p.KeyPolicy = still(string(text))
					return run(t, p)["key.policy"]
				case "SigningKey":
					p.SigningKeyPolicy = still(string(text))
					return run(t, p)["signing.policy"]
				default:
					p.BucketPolicy = still(string(text))
					return run(t, p)["bucket.policy"]
				}
			}
			all := policy.Statement
			if r := judge(all); r.State != doctor.OK {
				t.Errorf("%s: %s", name, r.Text)
			}
			for i, s := range all {
				sid := s["Sid"].(string)
				if r := judge(slices.Concat(all[:i], all[i+1:])); r.State != doctor.Failed || !strings.HasSuffix(r.Text, sid) {
					t.Errorf("%s without %s: %s %s", name, sid, r.State, r.Text)
				}
				weaker := map[string]any{}
				for field, value := range s {
					weaker[field] = value
				}
				weaker["Condition"] = map[string]any{"StringEquals": map[string]any{"aws:PrincipalOrgID": "x"}}
				r := judge(slices.Concat(all[:i], []map[string]any{weaker}, all[i+1:]))
				if r.State != doctor.Failed || !strings.HasSuffix(r.Text, sid) || strings.Contains(r.Advice, "PrincipalOrgID") {
					t.Errorf("%s with a weaker %s: %s %s", name, sid, r.State, r.Text)
				}
			}
		}
	}
}

// What somebody put into a function's environment by hand may be a secret.
func TestAddedVariablesAreNotShown(t *testing.T) {
	t.Parallel()
	for _, lookback := range []string{"168h", "1h"} {
		p := healthy(t)
		edit(&p.Poll, func(f *doctor.StackFunction) {
			f.Environment = map[string]string{
				"DEFENDER_TENANT_ID": "t", "LOOKBACK": lookback, "DEFENDER_CLIENT_SECRET": "s3cret", "GOMEMLIMIT": "100MiB",
			}
			f.Settings = "DEFENDER_CLIENT_SECRET has 6 characters"
		})
		r := run(t, p)["poll.settings"]
		if r.State != doctor.Failed || strings.Contains(r.Text+r.Advice, "s3cret") ||
			!strings.HasSuffix(r.Advice, ` --environment '{"Variables":{"DEFENDER_TENANT_ID":"t","GOMEMLIMIT":"100MiB","LOOKBACK":"168h"}}'`) {
			t.Errorf("%s: %s; %s", r.State, r.Text, r.Advice)
		}
	}
}

// TemplateVersion is what the template's output says.
func TestTemplateVersion(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`\n  TemplateVersion:\n.*\n    Value: "([0-9]+)"\n`).FindSubmatch(text)
	if len(got) == 0 || string(got[1]) != strconv.Itoa(doctor.TemplateVersion) {
		t.Errorf("the template says %q, the code %d", got, doctor.TemplateVersion)
	}
}
