//go:build cloud

package cloudtest

import (
	"encoding/json"
	"slices"
	"strings"
)

// The principals that the second stack exempts; the first exempts none.
const (
	writers    = "arn:aws:iam::000000000000:role/custodian,arn:aws:iam::000000000000:user/counsel"
	breakGlass = "arn:aws:iam::000000000000:role/glass"
	nothing    = ""
)

// guarding returns the parameters that make a stack report tampering, exempt principals, and keep
// its logs after deletion.
func (a *account) guarding() []string {
	a.t.Helper()
	var topic string
	a.ask(&topic, "sns", "create-topic", "--name", "alarms", "--query", "TopicArn")
	return []string{
		"AlarmTopicArn=" + topic, "EvidenceWriters=" + writers, "BreakGlassPrincipalArn=" + breakGlass,
		"KeepLogs=true",
	}
}

// policyStatement is one of the statements that deny.
type policyStatement struct {
	Sid, Effect string
	Condition   struct {
		ArnNotEquals map[string]any
	}
}

// denials returns the principals that each denial of a policy exempts.
func (a *account) denials(policy string) map[string][]string {
	a.t.Helper()
	var document struct{ Statement []policyStatement }
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		a.t.Fatalf("%v: %s", err, policy)
	}
	except := map[string][]string{}
	for _, s := range document.Statement {
		if s.Effect != "Deny" {
			continue
		}
		except[s.Sid] = []string{}
		switch principals := s.Condition.ArnNotEquals["aws:PrincipalArn"].(type) {
		case string:
			except[s.Sid] = []string{principals}
		case []any:
			for _, p := range principals {
				except[s.Sid] = append(except[s.Sid], p.(string))
			}
		}
	}
	return except
}

// checkPolicies checks that bucket and keys deny what they should, except to the function's own
// role and the exempt principals. The local cloud does not enforce policies: the tests of
// internal/e2e evaluate them, and this one checks that they are deployed.
func (a *account) checkPolicies(outputs map[string]string, glass, others string) {
	a.t.Helper()
	var role, bucket, key, signing string
	a.ask(&role, "lambda", "get-function-configuration", "--function-name",
		outputs["FetchPackageFunctionName"], "--query", "Role")
	a.ask(&bucket, "s3api", "get-bucket-policy", "--bucket", outputs["EvidenceBucketName"], "--query", "Policy")
	for arn, policy := range map[string]*string{outputs["KeyArn"]: &key, outputs["SigningKeyArn"]: &signing} {
		a.ask(policy, "kms", "get-key-policy", "--key-id", arn, "--policy-name", "default", "--query", "Policy")
	}
	listed := func(arns string) []string {
		return slices.DeleteFunc(strings.Split(arns, ","), func(arn string) bool { return arn == "" })
	}
	for _, want := range []struct {
		policy, denial string
		except         []string
	}{
		{bucket, "OnlyTheFunctionWrites", append([]string{role}, listed(others)...)},
		{bucket, "OnlyBreakGlassBypassesTheLock", listed(glass)},
		{key, "OnlyBreakGlassTakesTheKeyAway", listed(glass)},
		{signing, "OnlyBreakGlassTakesTheKeyAway", listed(glass)},
		{signing, "OnlyTheFunctionSigns", []string{role}},
	} {
		if got, there := a.denials(want.policy)[want.denial]; !there || !slices.Equal(got, want.except) {
			a.t.Errorf("%s exempts %q, want %q: %s", want.denial, got, want.except, want.policy)
		}
	}
}

// checkTamperingRule checks that the rule watches the stack's own keys and bucket.
func (a *account) checkTamperingRule(outputs map[string]string) {
	a.t.Helper()
	var pattern string
	a.ask(&pattern, "events", "describe-rule", "--name", outputs["EventBusName"]+"-tampering",
		"--query", "EventPattern")
	for _, name := range []string{"KeyArn", "SigningKeyArn", "EvidenceBucketName"} {
		if !strings.Contains(pattern, `"`+outputs[name]+`"`) {
			a.t.Errorf("the rule does not watch %s: %s", outputs[name], pattern)
		}
	}
}

// checkLogsSurvive checks that the logs outlived one stack but not the other.
func (a *account) checkLogsSurvive(kept, deleted map[string]string) {
	a.t.Helper()
	var groups []string
	a.ask(&groups, "logs", "describe-log-groups", "--query", "logGroups[].logGroupName")
	for _, name := range []string{"PollLogGroupName", "FetchPackageLogGroupName"} {
		if !slices.Contains(groups, kept[name]) || slices.Contains(groups, deleted[name]) {
			a.t.Errorf("there are log groups %q; want %s and not %s", groups, kept[name], deleted[name])
		}
	}
}
