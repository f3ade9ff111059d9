package alarmtest

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/internal/cfn"
	"packhorse/internal/fetch"
	"packhorse/internal/investigation"
	"packhorse/internal/localcloud"
	"packhorse/internal/mde/mdesim"
)

const topic = "arn:aws:sns:us-east-1:123456789012:alarms"

// happening is one cause of an alarm. Its function runs what happens in five minutes and returns
// the numbers that CloudWatch receives.
type happening struct {
	alarm, cause string
	period       func(s *site) []datum
}

// happenings has a case for every cause in the table of docs/operations.md, with the wording used
// there.
func happenings() []happening {
	return slices.Concat(silences(), failedTicks(), failedFetches(), blockedFetches(), expiries(), failingTenants(), []happening{
		{"StrangerAlarm", "somebody put an object under a key of the archive", strangers},
		{"ThrottledAlarm", "an analyst's script, or a second stack with its own tables",
			func(s *site) []datum {
				s.tenant.SetFaults(answering(mdesim.KindPackageURI, http.StatusTooManyRequests))
				numbers, _ := s.carry()
				return numbers
			}},
		{"ListThrottledAlarm", "a dashboard that polls Defender every few seconds", func(s *site) []datum {
			s.tenant.SetFaults(answering(mdesim.KindList, http.StatusTooManyRequests))
			return s.tick()
		}},
		{"OldestReadyAlarm", "a backlog after a mass collection", func(s *site) []datum {
			s.addAction(7 * time.Hour)
			return s.tick()
		}},
		{"UndeliveredAlarm", "the function was throttled (nothing has to be replayed)",
			undelivered(readyLetters)},
		{"UndeliveredAlarm", "the policy of `AlarmTopicArn` does not let events.amazonaws.com publish",
			undelivered(lettersOf("TamperingRule"))},
		{"UndeliveredAlarm", "the policy of `NotificationTopicArn` does not let events.amazonaws.com publish",
			undelivered(lettersOf("ArchivedRule", "NotCollectedRule", "StrangerRule"))},
	})
}

func answering(kind mdesim.Kind, status int) mdesim.Faults {
	return mdesim.Faults{Status: map[mdesim.Kind]int{kind: status}}
}

// silences are cases in which an invocation does not take place.
func silences() []happening {
	none := func(*site) []datum { return nil }
	return []happening{
		{"PollSilentAlarm", "`PollState` is DISABLED", func(s *site) []datum {
			poll := deploy(s.t, map[string]string{"PollState": "DISABLED"})["PollFunction"]
			events, _ := poll.Properties["Events"].(map[string]any)
			tick, _ := events["Tick"].(map[string]any)
			properties, _ := tick["Properties"].(map[string]any)
			if properties["State"] != "DISABLED" {
				s.t.Errorf("the schedule is still enabled: %v", properties)
			}
			return none(s)
		}},
		{"PollSilentAlarm", "the account is out of concurrency", none},
		{"SweepAgeAlarm", "ticks do not run at all", none},
	}
}

func failedTicks() []happening {
	ticking := func(wrong func(s *site)) func(*site) []datum {
		return func(s *site) []datum { wrong(s); return s.tick() }
	}
	var all []happening
	for _, alarm := range []string{"PollErrorsAlarm", "SweepAgeAlarm"} { // such ticks run, and no sweep succeeds
		all = append(all, happening{alarm, "the client secret has expired", ticking(func(s *site) {
			s.tenant.SetFaults(mdesim.Faults{SecretExpired: true})
		})}, happening{alarm, "Defender or Entra ID does not answer", ticking(func(s *site) {
			s.tenant.SetFaults(answering(mdesim.KindList, http.StatusServiceUnavailable))
		})}, happening{alarm, "the ledger cannot be used", ticking(func(s *site) {
			s.addAction(time.Hour)
			s.environ["LEDGER_TABLE"] = "absent"
		})})
	}
	return all
}

// carrying makes a fetch fail by setting a variable in its environment to a wrong value.
func carrying(variable, value string) func(*site) []datum {
	return func(s *site) []datum {
		s.environ[variable] = value
		numbers, _ := s.carry()
		return numbers
	}
}

func failedFetches() []happening {
	const name = "FetchErrorsAlarm"
	return []happening{
		{name, "the evidence bucket is gone, denied or without Object Lock", carrying("ARCHIVE_BUCKET", "absent")},
		{name, "the ledger cannot be used", carrying("LEDGER_TABLE", "absent")},
		{name, "the signing key is disabled or denied", carrying("SIGNING_KEY_ID", "alias/absent")},
	}
}

// blockedFetches are cases in which the function itself succeeds, so FetchErrorsAlarm does not
// notice them.
func blockedFetches() []happening {
	blocked := func(cause investigation.Cause, numbers []datum, got answer) func(s *site) []datum {
		return func(s *site) []datum {
			var said fetch.Answer
			if err := json.Unmarshal([]byte(got.payload), &said); err != nil || got.failed ||
				said.Outcome != fetch.OutcomePostponed || said.Cause != cause ||
				!strings.Contains(got.log, `"cause":"`+string(cause)+`"`) {
				s.t.Errorf("got %s, want it postponed for %q; it logged %s", got.payload, cause, got.log)
			}
			return numbers
		}
	}
	wrong := func(cause investigation.Cause, variable, value string) func(*site) []datum {
		return func(s *site) []datum {
			s.environ[variable] = value
			numbers, got := s.carry()
			return blocked(cause, numbers, got)(s)
		}
	}
	const name = "FetchBlockedAlarm"
	return []happening{
		{name, "`linkHost`: Microsoft uses a new download host, which `DefenderLinkHosts` lacks",
			wrong(investigation.CauseLinkHost, "DEFENDER_LINK_HOSTS", "other.example.com")},
		{name, "`forbidden`: the app registration lacks a permission", func(s *site) []datum {
			s.tenant.SetFaults(answering(mdesim.KindPackageURI, http.StatusForbidden))
			numbers, got := s.carry()
			return blocked(investigation.CauseForbidden, numbers, got)(s)
		}},
		{name, "`credential`: the client secret has expired", func(s *site) []datum {
			s.tenant.SetFaults(mdesim.Faults{SecretExpired: true})
			numbers, got := s.carry()
			return blocked(investigation.CauseCredential, numbers, got)(s)
		}},
		{name, "`consent`: the tenant has not consented to the app (`packhorse tenant consent` prints the link)",
			wrong(investigation.CauseConsent, "DEFENDER_CLIENT_ID", "00000000-0000-4000-8000-000000000009")},
		{name, "`network`: Defender cannot be reached, or only through a proxy whose certificate is not in `DefenderCaPem`",
			wrong(investigation.CauseNetwork, "DEFENDER_API_URL", "https://127.0.0.1:1")},
		{name, "`counter`: the budget table cannot be used, or the clock is wrong",
			wrong(investigation.CauseCounter, "BUDGET_TABLE", "absent")},
		{name, "`archive`: the function may not write evidence", func(s *site) []datum {
			s.refuses = func(r *http.Request) bool {
				return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/packages/")
			}
			numbers, got := s.carry()
			return blocked(investigation.CauseArchive, numbers, got)(s)
		}},
	}
}

// plant puts an object under the action's key, with metadata that claims it belongs to the action.
func (s *site) plant(action investigation.Action) {
	s.t.Helper()
	key, err := investigation.KeyOf("packages/", action)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = s3.NewFromConfig(s.aws).PutObject(s.t.Context(), &s3.PutObjectInput{
		Bucket: &s.name, Key: aws.String(string(key)), Body: bytes.NewReader([]byte("planted")),
		Metadata: map[string]string{
			"packhorse-action-id": action.ActionID, "packhorse-collection": `{"version":1,"attempt":1}`,
		},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// strangers are found by a fetch that still stores its package.
func strangers(s *site) []datum {
	numbers, got := s.carry(s.plant)
	var said fetch.Answer
	if err := json.Unmarshal([]byte(got.payload), &said); err != nil || said.Strangers != 1 ||
		said.Outcome != fetch.OutcomeArchived {
		s.t.Errorf("got %s, want the package archived and a stranger; it logged %s", got.payload, got.log)
	}
	return numbers
}

// undelivered returns a case in which events end up in the queue of the rules that letters returns.
// The stand-in drops undeliverable events, so the test puts the message there itself.
func undelivered(letters func(cfn.Stack) []any) func(*site) []datum {
	return func(s *site) []datum {
		stack := deploy(s.t, map[string]string{"AlarmTopicArn": topic, "NotificationTopicArn": topic})
		for _, letter := range letters(stack) {
			config, _ := letter.(map[string]any)
			if arn, _ := config["Arn"].(string); !strings.HasSuffix(arn, ":UndeliveredQueue") {
				s.t.Errorf("undelivered events go to %v", config)
			}
		}
		cloud := localcloud.Cloud{Endpoint: os.Getenv("DYNAMODB_TEST_ENDPOINT")}
		call := func(action string, input map[string]any, output any) {
			if err := cloud.Call(s.t.Context(), "AmazonSQS."+action, input, output); err != nil {
				s.t.Fatal(err)
			}
		}
		var queue struct {
			URL string `json:"QueueUrl"`
		}
		call("CreateQueue", map[string]any{"QueueName": s.name}, &queue)
		call("SendMessage", map[string]any{"QueueUrl": queue.URL, "MessageBody": "{}"}, nil)
		var depth struct{ Attributes map[string]string }
		call("GetQueueAttributes", map[string]any{
			"QueueUrl": queue.URL, "AttributeNames": []string{"ApproximateNumberOfMessages"},
		}, &depth)
		visible, err := strconv.ParseFloat(depth.Attributes["ApproximateNumberOfMessages"], 64)
		if err != nil {
			s.t.Fatal(err)
		}
		return []datum{{"AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName",
			nameOf(stack, "UndeliveredQueue"), visible}}
	}
}

// readyLetters and lettersOf return the dead-letter queues of rules.
func readyLetters(stack cfn.Stack) []any {
	events, _ := stack["FetchPackageFunction"].Properties["Events"].(map[string]any)
	ready, _ := events["Ready"].(map[string]any)
	properties, _ := ready["Properties"].(map[string]any)
	return []any{properties["DeadLetterConfig"]}
}

func lettersOf(rules ...string) func(cfn.Stack) []any {
	return func(stack cfn.Stack) (all []any) {
		for _, rule := range rules {
			targets, _ := stack[rule].Properties["Targets"].([]any)
			target, _ := targets[0].(map[string]any)
			all = append(all, target["DeadLetterConfig"])
		}
		return all
	}
}

// TestAlarms repeats each documented cause period after period, starting from a healthy day.
func TestAlarms(t *testing.T) {
	stack := deploy(t, map[string]string{"AlarmTopicArn": topic, "ManyTenants": "true"})
	watched := alarms(t, stack)
	poll := function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime}
	fetch := function{nameOf(stack, "FetchPackageFunction"), build(t, "fetch-package"), fetchTime}
	for _, h := range happenings() {
		t.Run(h.alarm+"/"+h.cause, func(t *testing.T) {
			alarm, there := watched[h.alarm]
			if !there {
				t.Fatal("the template does not define the alarm")
			}
			s := openSite(t, poll, fetch)
			numbers, got := s.carry()
			well := slices.Concat(numbers, s.tick())
			var periods [][]datum
			for range alarm.periods {
				periods = append(periods, well)
			}
			if alarm.goesOff(t, periods) {
				t.Errorf("the alarm goes off on a healthy day: %v, %s", well, got.log)
			}
			for range alarm.datapoints {
				s.later()
				periods = append(periods, h.period(s))
			}
			if !alarm.goesOff(t, periods) {
				t.Errorf("%+v does not go off: %v", alarm, periods[len(periods)-alarm.datapoints:])
			}
		})
	}
}

// A tenant in which nothing happens is no reason for an alarm, nor is a new stack whose first sweep
// has succeeded.
func TestQuietIsNoAlarm(t *testing.T) {
	stack := deploy(t, nil)
	s := openSite(t, function{nameOf(stack, "PollFunction"), build(t, "poll"), tickTime}, function{})
	quiet := s.tick()
	for name, alarm := range alarms(t, stack) {
		fresh := make([][]datum, alarm.periods-1, alarm.periods) // before the deployment nothing was written
		if alarm.goesOff(t, append(fresh, quiet)) {
			t.Errorf("%s goes off on a new stack: %v", name, quiet)
		}
		if alarm.goesOff(t, slices.Repeat([][]datum{quiet}, alarm.periods)) {
			t.Errorf("%s goes off when nothing happens: %v", name, quiet)
		}
	}
}

// The table in docs/operations.md, the template's alarms and the test cases must match, and every
// cause that lasts until a person fixes it must have its line.
func TestAlarmsAreDocumented(t *testing.T) {
	rows := documented(t)
	cases := map[string][]string{}
	for _, h := range happenings() {
		cases[h.alarm] = append(cases[h.alarm], h.cause)
	}
	names := slices.Sorted(maps.Keys(alarms(t, deploy(t, map[string]string{"ManyTenants": "true"}))))
	for _, name := range slices.Compact(slices.Sorted(slices.Values(slices.Concat(names,
		slices.Collect(maps.Keys(rows)), slices.Collect(maps.Keys(cases)))))) {
		got, want := slices.Sorted(slices.Values(rows[name])), slices.Sorted(slices.Values(cases[name]))
		if !slices.Contains(names, name) || !slices.Equal(got, want) {
			t.Errorf("%s, in the template: %t; documented for\n%q, tested for\n%q", name,
				slices.Contains(names, name), got, want)
		}
	}
	row := strings.Join(rows["FetchBlockedAlarm"], ";")
	for _, cause := range investigation.Causes() {
		if cause.Blocks() != strings.Contains(row, "`"+string(cause)+"`") && cause != investigation.CauseOther {
			t.Errorf("the row of FetchBlockedAlarm and the cause %s: blocks is %t", cause, cause.Blocks())
		}
	}
}
