package cloud_test

import (
	"context"
	"errors"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// configOf returns a configuration whose calls answer answers, without a network.
func configOf(answer func(operation string) (any, error)) aws.Config {
	return aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		APIOptions: []func(*middleware.Stack) error{func(calls *middleware.Stack) error {
			return calls.Initialize.Add(middleware.InitializeMiddlewareFunc("answer", func(ctx context.Context,
				_ middleware.InitializeInput, _ middleware.InitializeHandler,
			) (out middleware.InitializeOutput, metadata middleware.Metadata, err error) {
				out.Result, err = answer(awsmiddleware.GetOperationName(ctx))
				return out, metadata, err
			}), middleware.After)
		}},
	}
}

// open returns the cloud of a stack whose calls answer answers, without a network. Each parameter of the template
// has its own name as its value.
func open(t *testing.T, answer func(operation string) (any, error)) *cloud.Cloud {
	t.Helper()
	cfg := configOf(answer)
	s := &stack.Stack{
		Name: "pk", ID: "arn:aws-us-gov:cloudformation:us-gov-west-1:123456789012:stack/pk/1", AWS: cfg,
		Parameters: map[string]string{}, Outputs: map[string]string{
			stack.OutputBucket: "bucket", stack.OutputLedger: "ledger", stack.OutputBudget: "budget", stack.OutputBus: "bus",
			stack.OutputPoll: "pk-poll", stack.OutputFetch: "pk-fetch", stack.OutputSigningKey: "signing",
			stack.OutputKey: "key", "UndeliveredQueueUrl": "https://sqs.us-gov-west-1.amazonaws.com/123456789012/pk-undelivered",
		},
	}
	for _, match := range regexp.MustCompile(`(?m)^  ([A-Z]\w+):\n    Type: (?:String|Number)\n`).
		FindAllStringSubmatch(read(t, "template.yaml"), -1) {
		s.Parameters[match[1]] = match[1]
	}
	return cloud.Open(t.Context(), s, time.Now)
}

// resources answers the list of resources.
func resources() (any, error) {
	of := func(id, kind, name string) types.StackResourceSummary {
		return types.StackResourceSummary{LogicalResourceId: &id, ResourceType: &kind, PhysicalResourceId: &name}
	}
	return &cloudformation.ListStackResourcesOutput{StackResourceSummaries: []types.StackResourceSummary{
		of("PollFunctionTick", "AWS::Scheduler::Schedule", "pk-tick"),
		of("FetchPackageFunctionReady", "AWS::Events::Rule", "bus|pk-Ready-1"),
		of("PollRole", "AWS::IAM::Role", "pk-PollRole-1"), of("FetchPackageRole", "AWS::IAM::Role", "pk-FetchRole-1"),
		of("StrangerAlarm", "AWS::CloudWatch::Alarm", "pk-StrangerAlarm-1"),
	}}, nil
}

func denied(string) (any, error) { return nil, &smithy.GenericAPIError{Code: "AccessDeniedException"} }

// Every setting is compared with the stack's, so that a change by hand is noticed.
func TestEverySettingIsCompared(t *testing.T) {
	t.Parallel()
	w := open(t, denied).Ports().Want
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		name := field.Tag.Get("env")
		onMachine := slices.Contains([]string{"DEFENDER_CLIENT_SECRET", "DEFENDER_SECRET_FILE", "DEFENDER_CERTIFICATE_FILE"}, name)
		if _, ok := w.FetchVariables[name]; !ok && !onMachine {
			t.Errorf("%s is not compared", name)
		}
	}
	for name := range w.PollVariables {
		if _, ok := w.FetchVariables[name]; !ok {
			t.Errorf("%s is of the poll function alone", name)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	w := open(t, func(string) (any, error) { return resources() }).Ports().Want
	const in = ":us-gov-west-1:123456789012:"
	for name, pair := range map[string][2]string{
		"the fetch function": {w.FetchARN, "arn:aws-us-gov:lambda" + in + "function:pk-fetch"},
		"the fetch role":     {w.FetchRole, "arn:aws-us-gov:iam::123456789012:role/pk-FetchRole-1"},
		"the queue":          {w.QueueARN, "arn:aws-us-gov:sqs" + in + "pk-undelivered"},
		"the rule":           {w.Rule, "pk-Ready-1"},
		"the schedule":       {w.Schedule, "pk-tick"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
}

// deniedActions calls every look and returns the actions that they lack.
func deniedActions(t *testing.T, ports doctor.StackPorts) []string {
	t.Helper()
	var actions []string
	looks := reflect.ValueOf(ports)
	for i := range looks.NumField() {
		name := looks.Type().Field(i).Name
		if name == "Now" || name == "Want" || name == "OwnBucket" {
			continue
		}
		out := looks.Field(i).Call([]reflect.Value{reflect.ValueOf(t.Context())})
		err, _ := out[1].Interface().(error)
		if e, ok := errors.AsType[*doctor.DeniedError](err); ok {
			actions = append(actions, e.Action)
		} else {
			t.Errorf("%s: %v", name, err)
		}
	}
	return actions
}

// TestOwnBucket: AWS is asked only about a bucket that the tenant's entry names.
func TestOwnBucket(t *testing.T) {
	t.Parallel()
	c := open(t, denied)
	look := func(entry tenant.Tenant) (doctor.TenantBucket, error) {
		return c.PortsOf(entry, 2, nil).OwnBucket(t.Context())
	}
	if b, err := look(tenant.Tenant{ID: "t"}); err != nil || b != (doctor.TenantBucket{}) {
		t.Errorf("got %+v, %v", b, err)
	}
	_, err := look(tenant.Tenant{ID: "t", Bucket: "acme-evidence"})
	if e, ok := errors.AsType[*doctor.DeniedError](err); !ok || e.Action != "s3:ListBucket" {
		t.Errorf("got %v", err)
	}
}

// Whoever may call nothing is told the permission behind each check, and these are the documented ones.
func TestDeniedCallsNameThePermission(t *testing.T) {
	t.Parallel()
	actions := deniedActions(t, open(t, denied).Ports()) // even the list of the resources
	actions = append(actions, deniedActions(t, open(t, func(operation string) (any, error) {
		if operation == "ListStackResources" {
			return resources()
		}
		return denied(operation)
	}).Ports())...)
	actions = append(actions, deniedActions(t, open(t, func(operation string) (any, error) {
		switch operation {
		case "ListStackResources":
			return resources()
		case "DescribeRule":
			return &eventbridge.DescribeRuleOutput{}, nil
		default:
			return denied(operation)
		}
	}).Ports())...)
	slices.Sort(actions)
	actions = slices.Compact(actions)

	_, section, _ := strings.Cut(read(t, "docs/operations.md"), "\n## What doctor may read\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var documented []string
	for _, match := range regexp.MustCompile(`"([a-z0-9]+:[A-Za-z]+)"`).FindAllStringSubmatch(section, -1) {
		documented = append(documented, match[1])
	}
	documented = slices.DeleteFunc(documented, func(action string) bool { return action == "kms:Decrypt" }) // by Secrets Manager
	slices.Sort(documented)
	if !slices.Equal(actions, documented) {
		t.Errorf("doctor needs\n%q, docs/operations.md has\n%q", actions, documented)
	}
}

// What is missing is said to be missing; other failures say what was read.
func TestOtherRefusals(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"ResourceNotFoundException": "the table ledger does not exist",
		"InternalServerError":       "read the table ledger: ",
	} {
		_, err := open(t, func(string) (any, error) { return nil, &smithy.GenericAPIError{Code: code} }).Ports().Ledger(t.Context())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v", code, err)
		}
	}
}
