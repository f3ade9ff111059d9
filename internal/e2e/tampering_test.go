package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const theTopic = "arn:aws:sns:us-east-1:123456789012:alarms"

// matchesEvent decides as EventBridge does, for the part of its pattern language that the template
// uses.
func matchesEvent(t *testing.T, pattern, event map[string]any) bool {
	t.Helper()
	for field, want := range pattern {
		switch want := want.(type) {
		case map[string]any:
			if items, ok := event[field].([]any); ok { // one of them has to match
				if !slices.ContainsFunc(items, func(item any) bool {
					return matchesEvent(t, want, item.(map[string]any))
				}) {
					return false
				}
				continue
			}
			inner, _ := event[field].(map[string]any)
			if !matchesEvent(t, want, inner) {
				return false
			}
		case []any:
			if field == "$or" {
				if !slices.ContainsFunc(want, func(one any) bool {
					return matchesEvent(t, one.(map[string]any), event)
				}) {
					return false
				}
				continue
			}
			value, there := event[field]
			if !slices.ContainsFunc(want, func(one any) bool {
				if test, ok := one.(map[string]any); ok {
					if len(test) != 1 || test["exists"] != "true" {
						t.Fatalf("unknown pattern %v", test)
					}
					return there
				}
				return there && one == value
			}) {
				return false
			}
		default:
			t.Fatalf("%s: got the pattern %v", field, want)
		}
	}
	return true
}

// Tampering with the keys and the bucket is reported whenever CloudTrail records it, including
// refused attempts. The daily work of the stack is not reported, nor is what others do to their own
// keys and buckets.
func TestTamperingIsReported(t *testing.T) {
	rule := deploy(t, map[string]string{"AlarmTopicArn": theTopic})["TamperingRule"]
	if rule.Properties["EventBusName"] != nil {
		t.Error("the rule is not on the default bus, which has CloudTrail's events")
	}
	pattern, _ := rule.Properties["EventPattern"].(map[string]any)
	const key, bucket = `"keyId":"arn:aws:kms:us-east-1:123456789012:key/Key"`, `"bucketName":"EvidenceBucket"`
	for _, test := range []struct {
		name, source, detail string
		told                 bool
	}{
		{"deletion", "aws.kms", `"eventName":"ScheduleKeyDeletion","requestParameters":{` + key + `}`, true},
		{"by its id", "aws.kms", `"eventName":"DisableKey","requestParameters":{"keyId":"SigningKey"}`, true},
		{"its policy", "aws.kms", `"eventName":"PutKeyPolicy","requestParameters":{` + key + `}`, true},
		{"refused", "aws.kms", `"eventName":"ScheduleKeyDeletion","errorCode":"AccessDenied","requestParameters":null`, true},
		{"another key", "aws.kms", `"eventName":"ScheduleKeyDeletion","requestParameters":{"keyId":"1234"}`, false},
		{"work", "aws.kms", `"eventName":"Sign","requestParameters":{` + key + `}`, false},
		{"the policy", "aws.s3", `"eventName":"PutBucketPolicy","requestParameters":{` + bucket + `}`, true},
		{"no policy", "aws.s3", `"eventName":"DeleteBucketPolicy","requestParameters":{` + bucket + `}`, true},
		{"versioning", "aws.s3", `"eventName":"PutBucketVersioning","requestParameters":{` + bucket + `}`, true},
		{"a version", "aws.s3", `"eventName":"DeleteObject","requestParameters":{` + bucket + `,"key":"k"}`, true},
		{"several", "aws.s3", `"eventName":"DeleteObjects","errorCode":"AccessDenied","requestParameters":{` + bucket + `}`, true},
		{"a hold", "aws.s3", `"eventName":"PutObjectLegalHold","requestParameters":{` + bucket + `}`, true},
		{"planting", "aws.s3", `"eventName":"PutObject","errorCode":"AccessDenied","requestParameters":{` + bucket + `}`, true},
		{"storing", "aws.s3", `"eventName":"PutObject","requestParameters":{` + bucket + `}`, false},
		{"another bucket", "aws.s3", `"eventName":"PutBucketPolicy","requestParameters":{"bucketName":"b"}`, false},
	} {
		var event map[string]any
		err := json.Unmarshal([]byte(`{"source":"`+test.source+`","detail-type":"AWS API Call via CloudTrail",`+
			`"detail":{`+test.detail+`}}`), &event)
		if err != nil {
			t.Fatal(err)
		}
		if got := matchesEvent(t, pattern, event); got != test.told {
			t.Errorf("%s: reported is %t", test.name, got)
		}
	}
}

// A report goes to the topic as a sentence. If the topic refuses it, it goes to the queue that has
// an alarm, because a topic that accepts alarms may not accept events.
func TestTamperingIsReportedTo(t *testing.T) {
	stack := deploy(t, map[string]string{"AlarmTopicArn": theTopic})
	rule := stack["TamperingRule"].Properties
	target := targetOf(t, stack["TamperingRule"])
	if target["Arn"] != theTopic {
		t.Errorf("reported to %v", target["Arn"])
	}
	checkLetters(t, stack, "rule/"+rule["Name"].(string), target)
	transformer, _ := target["InputTransformer"].(map[string]any)
	paths, _ := transformer["InputPathsMap"].(map[string]any)
	event := map[string]any{"source": "aws.kms", "detail": map[string]any{
		"eventName": "DisableKey", "eventTime": "2026-03-04T05:06:07Z", "eventID": "5382f7ea-7557-4ab7-9782-d50480024a4e",
		"errorCode": "AccessDenied", "sourceIPAddress": "203.0.113.7",
		"userIdentity": map[string]any{"principalId": "AROAEXAMPLE:a.lindqvist@contoso.com"},
	}}
	for _, format := range []string{"text", "chat"} {
		stack := deploy(t, map[string]string{"AlarmTopicArn": theTopic, "NotificationFormat": format})
		got := message(t, stack["TamperingRule"], event)
		for _, path := range paths {
			if said := at(t, event, fmt.Sprint(path)); !strings.Contains(got, fmt.Sprint(said)) {
				t.Errorf("%q does not say %s", got, said)
			}
		}
		if format == "chat" {
			checkChat(t, got)
		} else {
			checkText(t, got)
		}
	}
	if _, there := deploy(t, nil)["TamperingRule"]; there {
		t.Error("the rule exists without a topic")
	}
}
