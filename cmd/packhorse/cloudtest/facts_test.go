//go:build cloud

package cloudtest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"packhorse/internal/event"
	"packhorse/internal/event/eventschema"
)

// facts is a queue of everything the stacks put on their buses.
type facts struct {
	a   *account
	url string
	raw strings.Builder // everything read so far
}

// listen adds a rule on each bus that sends everything to one queue.
func (a *account) listen(name string, stacks []map[string]string) *facts {
	a.t.Helper()
	var queue struct {
		URL string `json:"QueueUrl"`
	}
	a.call("AmazonSQS.CreateQueue", map[string]any{"QueueName": name}, &queue)
	for _, outputs := range stacks {
		bus := outputs["EventBusName"]
		a.call("AWSEvents.PutRule", map[string]any{
			"Name": "everything", "EventBusName": bus, "EventPattern": `{"source": ["packhorse"]}`,
		}, nil)
		a.call("AWSEvents.PutTargets", map[string]any{
			"Rule": "everything", "EventBusName": bus, "Targets": []map[string]string{
				{"Id": "facts", "Arn": "arn:aws:sqs:us-east-1:000000000000:" + name},
			},
		}, nil)
	}
	return &facts{a: a, url: queue.URL}
}

type fact struct {
	Source     string          `json:"source"`
	DetailType string          `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
}

// read returns the messages in the queue and removes them.
func (f *facts) read() []fact {
	f.a.t.Helper()
	var all []fact
	for {
		var answer struct {
			Messages []struct{ Body, ReceiptHandle string }
		}
		f.a.call("AmazonSQS.ReceiveMessage", map[string]any{
			"QueueUrl": f.url, "MaxNumberOfMessages": 10,
		}, &answer)
		if len(answer.Messages) == 0 {
			return all
		}
		for _, message := range answer.Messages {
			f.raw.WriteString(message.Body)
			var one fact
			if err := json.Unmarshal([]byte(message.Body), &one); err != nil {
				f.a.t.Fatalf("%v: %s", err, message.Body)
			}
			all = append(all, one)
			f.a.call("AmazonSQS.DeleteMessage", map[string]any{
				"QueueUrl": f.url, "ReceiptHandle": message.ReceiptHandle,
			}, nil)
		}
	}
}

// check validates every event against its schema, and compares the events with the tenant. It
// returns the archived packages by action id.
func (f *facts) check(s *tenant) map[string]event.Archived {
	t := f.a.t
	t.Helper()
	schemas, err := eventschema.Load(filepath.Join(f.a.root, "docs", "events"))
	if err != nil {
		t.Fatal(err)
	}
	archived, notCollected := map[string]event.Archived{}, map[string]event.NotCollected{}
	for _, one := range f.read() {
		if err := schemas.Check(one.DetailType, one.Detail); err != nil || one.Source != event.Source {
			t.Errorf("from %q: %v", one.Source, err)
			continue
		}
		switch one.DetailType {
		case event.TypeArchived:
			detail := decode[event.Archived](t, one.Detail)
			archived[detail.ActionID] = detail
		case event.TypeNotCollected:
			detail := decode[event.NotCollected](t, one.Detail)
			notCollected[detail.ActionID] = detail
		}
	}
	for _, a := range s.ready {
		if _, ok := archived[a.ID]; !ok {
			t.Errorf("action %s was not announced", a.ID)
		}
	}
	if len(archived) != len(s.ready) || len(notCollected) != 1 ||
		notCollected[s.failed.ID].Reason != "Failed" {
		t.Errorf("announced as archived: %v; as not collected: %v", archived, notCollected)
	}
	return archived
}

func decode[T any](t *testing.T, text []byte) T {
	t.Helper()
	var value T
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(fmt.Errorf("%w: %s", err, text))
	}
	return value
}
