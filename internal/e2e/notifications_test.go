package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"packhorse/internal/cfn"
	"packhorse/internal/event"
	"packhorse/internal/investigation"
)

// announcers are the rules that tell people, by the word of the parameter Notify.
var announcers = map[string]string{
	"archived": "ArchivedRule", "notCollected": "NotCollectedRule", "strangers": "StrangerRule",
}

// hostile is text that breaks out of a JSON string, a line, a Markdown span and a shell's quotes.
const hostile = "h\",\"version\":\"2\n`x` <!channel> [a](https://evil.example)\\ '$(id)' \u202e\x1b[2J"

// announced returns the events that people are told of, with hostile text in every field that people
// write.
func announced(t *testing.T) map[string]map[string]any {
	t.Helper()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	rec := investigation.Record{
		Action: investigation.Action{
			ID: investigation.ID{
				TenantID: "7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11", ActionID: "5382f7ea-7557-4ab7-9782-d50480024a4e",
			},
			MachineID: strings.Repeat("a", 40), ComputerDNSName: hostile, Requestor: hostile,
			RequestorComment: hostile, CaseID: hostile, RequestSource: hostile, CreatedAt: at, LastUpdatedAt: at,
		},
		Message: hostile, ArchivedAt: at, ManifestKey: "packages/t/m/a.json",
		Receipt: investigation.Receipt{Bucket: "EvidenceBucket", Key: "packages/t/m/a.zip", Size: 5, SHA256: "9f86"},
	}
	detail := func(rec investigation.Record) any { _, detail := event.Of(rec); return detail }
	archived := detail(rec)
	rec.Strangers = investigation.Strangers("").Add(investigation.Stranger{
		Key: "packages/t/m/a~1.zip", VersionID: hostile, FoundAt: at, Note: hostile,
	})
	beside := detail(rec)
	rec.Reason, rec.Receipt = investigation.ReasonExpired, investigation.Receipt{}
	instead := detail(rec)
	rec.Strangers = ""
	all := map[string]map[string]any{}
	for name, e := range map[string]struct {
		detailType string
		detail     any
	}{
		"archived": {event.TypeArchived, archived}, "archived beside a stranger": {event.TypeArchived, beside},
		"not collected":                   {event.TypeNotCollected, detail(rec)},
		"not collected beside a stranger": {event.TypeNotCollected, instead},
		"ready":                           {event.TypeReady, event.NewWork(rec.ID)},
	} {
		text, err := json.Marshal(map[string]any{
			"source": event.Source, "detail-type": e.detailType, "detail": e.detail,
		})
		if err != nil {
			t.Fatal(err)
		}
		var decoded map[string]any
		if err := json.Unmarshal(text, &decoded); err != nil {
			t.Fatal(err)
		}
		all[name] = decoded
	}
	return all
}

// step is one name of a path, with an index if it is of a list.
var step = regexp.MustCompile(`^([A-Za-z0-9-]+)(?:\[(\d)\])?$`)

// at follows a path such as $.detail.strangers[0].key.
func at(t *testing.T, value any, path string) any {
	t.Helper()
	names := strings.Split(path, ".")
	if names[0] != "$" {
		t.Fatalf("got the path %s", path)
	}
	for _, name := range names[1:] {
		match := step.FindStringSubmatch(name)
		if match == nil {
			t.Fatalf("got the path %s", path)
		}
		fields, _ := value.(map[string]any)
		value = fields[match[1]]
		if match[2] != "" {
			items, _ := value.([]any)
			if len(items) == 0 {
				return nil
			}
			value = items[0]
		}
	}
	return value
}

// message renders a rule's message as EventBridge does: it splices values in without escaping them.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
func message(t *testing.T, rule cfn.Resource, event map[string]any) string {
	t.Helper()
	transformer, _ := targetOf(t, rule)["InputTransformer"].(map[string]any)
	text, _ := transformer["InputTemplate"].(string)
	paths, _ := transformer["InputPathsMap"].(map[string]any)
	if len(text) > 8192 || len(paths) > 100 {
		t.Errorf("EventBridge refuses a template of %d bytes and %d variables", len(text), len(paths))
	}
	for name, path := range paths {
		placeholder := "<" + name + ">"
		value := at(t, event, fmt.Sprint(path))
		if value == nil || !strings.Contains(text, placeholder) {
			t.Errorf("%s is %v in the event, and needed: %t", path, value, strings.Contains(text, placeholder))
		}
		text = strings.ReplaceAll(text, placeholder, fmt.Sprint(value))
	}
	if left := regexp.MustCompile(`<[a-z0-9]+>`).FindString(text); left != "" {
		t.Errorf("%s is not defined", left)
	}
	return text
}

// wanted lists what each message has to say, besides host, requestor and case.
var wanted = map[string]map[string][]string{
	"ArchivedRule": {"archived": {"EvidenceBucket/packages/t/m/a.zip",
		"packhorse get 5382f7ea-7557-4ab7-9782-d50480024a4e --stack packhorse -o .",
		"packhorse show 5382f7ea-7557-4ab7-9782-d50480024a4e --stack packhorse"}},
	"NotCollectedRule": {"not collected": {"Expired", "EvidenceBucket/packages/t/m/a.json",
		"packhorse show 5382f7ea-7557-4ab7-9782-d50480024a4e --stack packhorse"}},
	"StrangerRule": {
		"archived beside a stranger":      {"EvidenceBucket/packages/t/m/a~1.zip", "packhorse show ", "packhorse doctor "},
		"not collected beside a stranger": {"EvidenceBucket/packages/t/m/a~1.zip", "packhorse show "},
	},
}

// plainHost is what event.Plain makes of hostile.
const plainHost = "h???version???2??x? ??channel? ?a??https?//evil.example?? ???id?? ???2J"

// Messages say whose package it is, where it is and what to type. Text that people write cannot
// break them or add to them, although EventBridge does not escape it, and they have no link.
func TestMessages(t *testing.T) {
	for _, format := range []string{"text", "chat"} {
		stack := deploy(t, map[string]string{"NotificationEmail": "soc@contoso.com", "NotificationFormat": format})
		for rule, events := range wanted {
			for name, wants := range events {
				got := message(t, stack[rule], announced(t)[name])
				for _, want := range append(wants, plainHost, "case", "requested by") {
					if !strings.Contains(got, want) {
						t.Errorf("%s of %s, %s: %q is missing in %s", format, rule, name, want, got)
					}
				}
				if strings.Count(got, plainHost) != 3 || strings.Contains(got, "://") || strings.Contains(got, "\x1b") {
					t.Errorf("%s of %s, %s: got %s", format, rule, name, got)
				}
				if format == "chat" {
					checkChat(t, got)
				} else {
					checkText(t, got)
				}
			}
		}
	}
}

// checkText checks that every line is a JSON string, as EventBridge requires.
func checkText(t *testing.T, message string) {
	t.Helper()
	for line := range strings.Lines(message) {
		var sentence string
		if err := json.Unmarshal([]byte(line), &sentence); err != nil {
			t.Errorf("%q is not a JSON string: %v", line, err)
		}
	}
}

// checkChat checks a message against the schema of custom notifications:
// https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html
func checkChat(t *testing.T, message string) {
	t.Helper()
	type notification struct {
		Version string `json:"version"`
		Source  string `json:"source"`
		Content struct {
			TextType    string   `json:"textType"`
			Title       string   `json:"title"`
			Description string   `json:"description"`
			NextSteps   []string `json:"nextSteps"`
		} `json:"content"`
		Metadata struct {
			ThreadID string `json:"threadId"`
			Summary  string `json:"summary"`
		} `json:"metadata"`
	}
	var got notification
	decoder := json.NewDecoder(strings.NewReader(message))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&got)
	if err != nil || got.Version != "1.0" || got.Source != "custom" || got.Content.TextType != "client-markdown" ||
		got.Content.Title == "" || got.Content.Description == "" || len(got.Content.NextSteps) == 0 ||
		got.Metadata.ThreadID == "" || got.Metadata.Summary == "" || decoder.More() {
		t.Errorf("%v: not a custom notification: %s", err, message)
	}
	for _, text := range append(got.Content.NextSteps, got.Content.Description) {
		if strings.Count(text, "`")%2 != 0 {
			t.Errorf("a code span does not end: %s", text)
		}
	}
}

// harmless are the values of events that need no escaping: plain text, ids, keys, numbers, reasons.
var harmless = []string{
	"$.detail.plain.host", "$.detail.plain.caseId", "$.detail.plain.requestor", "$.detail.actionId",
	"$.detail.bucket", "$.detail.key", "$.detail.size", "$.detail.sha256", "$.detail.manifestKey",
	"$.detail.reason", "$.detail.strangers[0].key",
	// Of CloudTrail's events. A user's ARN has a path, and a key's name is the caller's: neither is here.
	"$.source", "$.detail.eventName", "$.detail.eventTime", "$.detail.eventID", "$.detail.errorCode",
	"$.detail.sourceIPAddress", "$.detail.userIdentity.principalId",
}

// No rule puts text into a message that somebody else chose.
func TestMessagesUseHarmlessValues(t *testing.T) {
	stack := deploy(t, map[string]string{"NotificationEmail": "soc@contoso.com"})
	rules := 0
	for name, resource := range stack {
		if resource.Type != "AWS::Events::Rule" {
			continue
		}
		rules++
		transformer, _ := targetOf(t, resource)["InputTransformer"].(map[string]any)
		paths, _ := transformer["InputPathsMap"].(map[string]any)
		for _, path := range paths {
			if !slices.Contains(harmless, fmt.Sprint(path)) {
				t.Errorf("%s uses %s", name, path)
			}
		}
		if len(paths) == 0 {
			t.Errorf("%s passes whole events on", name)
		}
	}
	if rules != len(announcers)+1 {
		t.Errorf("got %d rules", rules)
	}
}

// People are told of what Notify lists and of nothing else, and of nothing without a topic.
func TestNotify(t *testing.T) {
	for notify, want := range map[string][]string{
		"archived": {"archived"}, "notCollected": {"notCollected"}, "strangers": {"strangers"},
		"archived,notCollected": {"archived", "notCollected"}, "archived,strangers": {"archived", "strangers"},
		"notCollected,strangers":          {"notCollected", "strangers"},
		"archived,notCollected,strangers": {"archived", "notCollected", "strangers"},
	} {
		stack := deploy(t, map[string]string{"Notify": notify, "NotificationEmail": "soc@contoso.com"})
		for word, rule := range announcers {
			if _, there := stack[rule]; there != slices.Contains(want, word) {
				t.Errorf("%s: %s exists: %t", notify, rule, there)
			}
		}
		for word, rule := range announcers {
			if _, there := deploy(t, map[string]string{"Notify": notify})[rule]; there {
				t.Errorf("%s without a topic: %s of %s exists", notify, rule, word)
			}
		}
	}
	for parameters, takes := range map[[2]string]bool{
		{"Notify", ""}: false, {"Notify", "strangers,archived"}: false, {"Notify", "archived, strangers"}: false, {"Notify", "everything"}: false,
		{"NotificationEmail", "soc@contoso.com"}: true, {"NotificationEmail", "a@b.c,d@e.f"}: false,
		{"NotificationEmail", "nobody"}: false, {"NotificationFormat", "html"}: false, {"NotificationFormat", "chat"}: true,
		{"NotificationTopicArn", theTopic}: true, {"NotificationTopicArn", "alarms"}: false,
	} {
		if _, err := tryDeploy(t, map[string]string{parameters[0]: parameters[1]}); (err == nil) != takes {
			t.Errorf("%q: %v", parameters, err)
		}
	}
	both := map[string]string{"NotificationEmail": "soc@contoso.com", "NotificationTopicArn": theTopic}
	if _, err := tryDeploy(t, both); err == nil {
		t.Error("one of two topics would get nothing")
	}
}

// Each rule matches its events and no others.
func TestWhatIsAnnounced(t *testing.T) {
	stack := deploy(t, map[string]string{"NotificationTopicArn": theTopic})
	for rule, want := range map[string][]string{
		"ArchivedRule":     {"archived", "archived beside a stranger"},
		"NotCollectedRule": {"not collected", "not collected beside a stranger"},
		"StrangerRule":     {"archived beside a stranger", "not collected beside a stranger"},
	} {
		properties := stack[rule].Properties
		pattern, _ := properties["EventPattern"].(map[string]any)
		var got []string
		for name, event := range announced(t) {
			if matchesEvent(t, pattern, event) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		target := targetOf(t, stack[rule])
		if !slices.Equal(got, want) || properties["EventBusName"] != "EventBus" || target["Arn"] != theTopic {
			t.Errorf("%s matches %q on %v and tells %v", rule, got, properties["EventBusName"], target["Arn"])
		}
		checkLetters(t, stack, "rule/"+cfn.StackName+"/"+fmt.Sprint(properties["Name"]), target)
	}
}

// checkLetters checks that the queue takes what a rule cannot deliver.
func checkLetters(t *testing.T, stack cfn.Stack, rule string, target map[string]any) {
	t.Helper()
	const queue = "arn:aws:any:us-east-1:123456789012:UndeliveredQueue"
	policy := statementsOf(t, stack["UndeliveredQueuePolicy"].Properties["PolicyDocument"])
	letters, _ := target["DeadLetterConfig"].(map[string]any)
	if letters["Arn"] != queue || !mayAsService(t, policy, "events.amazonaws.com", request{
		action: "sqs:SendMessage", resource: queue, facts: map[string]string{
			"aws:SourceAccount": cfn.Account, "aws:SourceArn": "arn:aws:events:us-east-1:123456789012:" + rule,
			"aws:SecureTransport": "true",
		},
	}) {
		t.Errorf("what %s cannot deliver is lost: %v", rule, letters)
	}
}

// mayAsService decides as IAM does for a service whose only permissions are in a resource's policy.
func mayAsService(t *testing.T, policy []statement, service string, r request) bool {
	t.Helper()
	may := false
	for _, s := range policy {
		principal, _ := s.principal.(map[string]any)
		if s.principal != "*" && !slices.Contains(list(principal["Service"]), service) || !s.matches(t, r) {
			continue
		}
		if s.effect == "Deny" {
			return false
		}
		may = true
	}
	return may
}

// Only this stack's rules and alarms can send to the topic of NotificationEmail, and the key that
// encrypts it serves nothing else. The evidence's key does not.
func TestWhoNotifies(t *testing.T) {
	stack := deploy(t, map[string]string{"NotificationEmail": "soc@contoso.com"})
	topic := stack["NotificationTopic"].Properties
	if topic["KmsMasterKeyId"] != "arn:aws:kms:us-east-1:123456789012:key/NotificationKey" {
		t.Errorf("the topic is encrypted with %v", topic["KmsMasterKeyId"])
	}
	subscriptions, _ := topic["Subscription"].([]any)
	if len(subscriptions) != 1 || !maps.Equal(subscriptions[0].(map[string]any),
		map[string]any{"Protocol": "email", "Endpoint": "soc@contoso.com"}) {
		t.Errorf("got the subscriptions %v", subscriptions)
	}
	const here = "us-east-1:123456789012:"
	policy := statementsOf(t, stack["NotificationTopicPolicy"].Properties["PolicyDocument"])
	for _, test := range []struct {
		service, account, source, tls string
		want                          bool
	}{
		{"events", "", "arn:aws:events:" + here + "rule/packhorse/packhorse-archived", "true", true},
		{"events", "", "arn:aws:events:" + here + "rule/packhorse-tampering", "true", true},
		{"events", "", "arn:aws:events:" + here + "rule/other", "true", false},
		{"events", "", "arn:aws:events:us-east-1:999999999999:rule/packhorse/x", "true", false},
		{"events", "", "", "true", false},
		{"events", "", "arn:aws:events:" + here + "rule/packhorse/packhorse-archived", "false", false},
		{"cloudwatch", cfn.Account, "arn:aws:cloudwatch:" + here + "alarm:packhorse-SweepAgeAlarm-1A2B", "true", true},
		{"cloudwatch", cfn.Account, "arn:aws:cloudwatch:" + here + "alarm:other", "true", false},
		{"cloudwatch", "999999999999", "arn:aws:cloudwatch:us-east-1:999999999999:alarm:packhorse-x", "true", false},
		{"s3", cfn.Account, "arn:aws:s3:::bucket", "true", false},
	} {
		facts := map[string]string{
			"aws:SourceArn": test.source, "aws:SourceAccount": test.account, "aws:SecureTransport": test.tls,
		}
		maps.DeleteFunc(facts, func(_, fact string) bool { return fact == "" })
		got := mayAsService(t, policy, test.service+".amazonaws.com",
			request{action: "sns:Publish", resource: "NotificationTopic", facts: facts})
		if got != test.want {
			t.Errorf("%+v: got %t", test, got)
		}
	}
	for name, want := range map[string]bool{"NotificationKey": true, "Key": false, "SigningKey": false} {
		for _, service := range []string{"events.amazonaws.com", "cloudwatch.amazonaws.com"} {
			key := statementsOf(t, stack[name].Properties["KeyPolicy"])
			for topic, same := range map[string]bool{
				"arn:aws:sns:us-east-1:123456789012:" + fmt.Sprint(topic["TopicName"]): true,
				"arn:aws:sns:us-east-1:123456789012:other":                             false,
			} {
				for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
					got := mayAsService(t, key, service, request{action: action, resource: "*", facts: map[string]string{
						"kms:EncryptionContext:aws:sns:topicArn": topic,
					}})
					if got != (want && same) {
						t.Errorf("%s: %s %s for %s: got %t", name, service, action, topic, got)
					}
				}
			}
		}
	}
	for name := range deploy(t, map[string]string{"NotificationTopicArn": theTopic}) {
		if strings.HasPrefix(name, "Notification") {
			t.Errorf("%s exists beside a topic of your own", name)
		}
	}
}
