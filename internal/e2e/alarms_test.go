package e2e_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"packhorse/internal/cfn"
)

// descriptionMax is CloudWatch's limit for an alarm's description.
const descriptionMax = 1024

// typed matches the end of an alarm's description: what to type.
var typed = regexp.MustCompile(`[.:] [A-Z][^.:]*: packhorse (?:doctor|status|list|show|get) --stack ` +
	cfn.StackName + `(?: --[a-z]+ [a-z-]+)?$`)

// Each alarm ends with the command to type for this very stack.
func TestAlarmsSayWhatToType(t *testing.T) {
	alarms := 0
	for name, resource := range deploy(t, nil) {
		if resource.Type != "AWS::CloudWatch::Alarm" {
			continue
		}
		alarms++
		description := fmt.Sprint(resource.Properties["AlarmDescription"])
		if len(description) > descriptionMax || !typed.MatchString(description) {
			t.Errorf("%s, %d characters: %q does not end with a command", name, len(description), description)
		}
	}
	if alarms < 10 {
		t.Errorf("got %d alarms", alarms)
	}
}

// Alarms and reports go to AlarmTopicArn, else where notifications go, else nowhere.
func TestWhereAlarmsGo(t *testing.T) {
	const mine = "arn:aws:sns:us-east-1:123456789012:mine"
	for name, test := range map[string]struct {
		parameters map[string]string
		want       string
	}{
		"nowhere":  {nil, ""},
		"alarms":   {map[string]string{"AlarmTopicArn": theTopic}, theTopic},
		"mine":     {map[string]string{"NotificationTopicArn": mine}, mine},
		"own":      {map[string]string{"NotificationEmail": "soc@contoso.com"}, "NotificationTopic"},
		"separate": {map[string]string{"NotificationEmail": "soc@contoso.com", "AlarmTopicArn": theTopic}, theTopic},
	} {
		stack := deploy(t, test.parameters)
		for id, resource := range stack {
			if resource.Type != "AWS::CloudWatch::Alarm" {
				continue
			}
			for _, property := range []string{"AlarmActions", "OKActions"} {
				got, want := list(resource.Properties[property]), []string{test.want}
				if test.want == "" {
					want = nil
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %s of %s: got %q, want %q", name, property, id, got, want)
				}
			}
		}
		rule, there := stack["TamperingRule"]
		if there != (test.want != "") {
			t.Errorf("%s: the rule on tampering exists: %t", name, there)
		}
		if there && targetOf(t, rule)["Arn"] != test.want {
			t.Errorf("%s: tampering is reported to %v", name, targetOf(t, rule)["Arn"])
		}
	}
}

// targetOf returns a rule's only target.
func targetOf(t *testing.T, rule cfn.Resource) map[string]any {
	t.Helper()
	targets, _ := rule.Properties["Targets"].([]any)
	if len(targets) != 1 {
		t.Fatalf("got the targets %v", targets)
	}
	return targets[0].(map[string]any)
}

// The comment above each alarm and resource may name alarms: each of them exists.
func TestAlarmsThatCommentsName(t *testing.T) {
	stack := deploy(t, map[string]string{"NotificationEmail": "soc@contoso.com", "ManyTenants": "true"})
	for _, name := range regexp.MustCompile(`\b[A-Z][A-Za-z]+Alarm\b`).FindAllString(read(t, "template.yaml"), -1) {
		if stack[name].Type != "AWS::CloudWatch::Alarm" && name != "DatapointsToAlarm" {
			t.Errorf("template.yaml names %s, which does not exist", name)
		}
	}
	for _, name := range regexp.MustCompile(`\b[A-Z][A-Za-z]+Alarm\b`).
		FindAllString(read(t, "docs/operations.md")+read(t, "SECURITY.md"), -1) {
		if stack[name].Type != "AWS::CloudWatch::Alarm" {
			t.Errorf("the docs name %s, which does not exist", name)
		}
	}
}
