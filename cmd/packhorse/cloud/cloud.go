// Package cloud looks at a deployed stack for the checks of packhorse doctor. It only reads: every call is listed
// in docs/operations.md under "What doctor may read".
package cloud

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"

	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// Cloud looks at one stack.
type Cloud struct {
	stack     *stack.Stack
	now       func() time.Time
	resources map[string]resource // by logical id
	unlisted  error               // why there are no resources
	want      doctor.StackWanted

	formation *cloudformation.Client
	lambda    *lambda.Client
	schedules *scheduler.Client
	events    *eventbridge.Client
	queues    *sqs.Client
	tables    *dynamodb.Client
	objects   *s3.Client
	keys      *kms.Client
	roles     *iam.Client
	secrets   *secretsmanager.Client
	logs      *cloudwatchlogs.Client
	metrics   *cloudwatch.Client
}

// Open prepares to look at a stack. It lists the stack's resources, whose names the checks need.
func Open(ctx context.Context, s *stack.Stack, now func() time.Time) *Cloud {
	cfg := s.AWS
	c := &Cloud{
		stack: s, now: now,
		formation: cloudformation.NewFromConfig(cfg), lambda: lambda.NewFromConfig(cfg),
		schedules: scheduler.NewFromConfig(cfg), events: eventbridge.NewFromConfig(cfg),
		queues: sqs.NewFromConfig(cfg), tables: dynamodb.NewFromConfig(cfg),
		objects: s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = o.BaseEndpoint != nil }),
		keys:    kms.NewFromConfig(cfg), secrets: secretsmanager.NewFromConfig(cfg), roles: iam.NewFromConfig(cfg),
		logs: cloudwatchlogs.NewFromConfig(cfg), metrics: cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) {
			if o.BaseEndpoint != nil { // a stand-in for AWS, which may lack the binary protocol
				o.Protocol = awsjson.New10(schemas.GraniteServiceVersion20100801)
			}
		}),
	}
	c.resources, c.unlisted = c.list(ctx)
	c.want = c.wanted()
	return c
}

// Ports returns the eyes of the checks. What several checks look at is read once.
func (c *Cloud) Ports() doctor.StackPorts {
	w := c.want
	return doctor.StackPorts{
		Now: c.now, Want: w,
		Stack: once(c.state),
		Poll: once(listed(c, c.function(w.PollName, func(environ map[string]string) error {
			if w.Tenant == "" && c.stack.Outputs[stack.OutputTenants] != "" { // the settings of each tenant have a check of their own
				return nil
			}
			_, err := settings.ParsePoll(environ)
			return err
		}))),
		Fetch: once(listed(c, c.function(w.FetchName, func(environ map[string]string) error {
			if w.Tenant == "" && c.stack.Outputs[stack.OutputTenants] != "" {
				return nil
			}
			_, err := settings.ParseFetch(environ)
			return err
		}))),
		PollConcurrency: c.concurrency(w.PollName), FetchConcurrency: c.concurrency(w.FetchName),
		PollMay: listed(c, c.may(w.PollRole, c.pollNeeds())), FetchMay: listed(c, c.may(w.FetchRole, c.fetchNeeds())),
		Account: c.account,

		Schedule: c.schedule, Bus: c.bus, Rule: listed(c, c.rule), Queue: c.queue,

		Ledger: once(c.table(w.Ledger)), Budget: once(c.table(w.Budget)),
		LedgerBackups: c.backups(w.Ledger), BudgetBackups: c.backups(w.Budget),
		LedgerTTL: c.ttl(w.Ledger), BudgetTTL: c.ttl(w.Budget),

		Bucket: c.bucket, Versioning: c.versioning, Lock: c.lock, Encryption: c.encryption, PublicAccess: c.publicAccess,
		BucketPolicy: once(listed(c, c.bucketPolicy)),

		Key: c.key(w.KeyARN), SigningKey: c.key(w.SigningKeyARN), KeyPolicy: c.keyPolicy(w.KeyARN),
		SigningKeyPolicy: listed(c, c.keyPolicy(w.SigningKeyARN)), KeyRotation: c.rotation,

		PollLogs: c.logGroup(w.PollLogs), FetchLogs: c.logGroup(w.FetchLogs), Alarms: once(listed(c, c.alarms)),

		Secret: c.secret, Federation: c.federation, IdentityTrust: c.trust, IdentityPolicy: c.identityPolicy,
		Certificates: once(c.certificates), CertificateKey: c.key(w.CertificateKey), CertificateMatch: c.match,
		CertificateKeyPolicy: listed(c, c.keyPolicy(w.CertificateKey)),

		Sweeps: c.sweeps, Work: c.work,
	}
}

// PortsOf returns the eyes of the checks of one of several tenants, whose entry in the registry has only an id if it
// needs none. They share the ledger.
func (c *Cloud) PortsOf(entry tenant.Tenant, tenants int, ledger Ledger) doctor.StackPorts {
	w := c.want
	tenantID := entry.ID
	w.Tenant, w.Tenants = tenantID, tenants
	return doctor.StackPorts{
		Now: c.now, Want: w, OwnBucket: c.tenantBucket(entry),
		Sweeps: func(ctx context.Context) ([]doctor.StackSweep, error) {
			health, err := ledger.Health(ctx, tenantID)
			if err != nil {
				return nil, seen(err, "dynamodb:GetItem", "the table "+w.Ledger)
			}
			return []doctor.StackSweep{{Tenant: tenantID, Health: health}}, nil
		},
		Work: func(ctx context.Context) (doctor.StackWork, error) {
			records, err := ledger.Recent(ctx, tenantID)
			if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
				return doctor.StackWork{}, seen(err, "dynamodb:Query", "the table "+w.Ledger)
			}
			return workOf(records, c.now()), nil
		},
	}
}

// Ledger is what is asked about the work of one tenant of many.
type Ledger interface {
	Health(ctx context.Context, tenantID string) (tenant.Health, error)
	// Recent returns the newest records, and those that are to be fetched or concluded.
	Recent(ctx context.Context, tenantID string) ([]investigation.Record, error)
}

// Variables returns what the environments of the stack's functions must say.
func (c *Cloud) Variables() map[string]string { return c.want.PollVariables }

// Set returns the command that gives the parameter behind a variable a value, such as DefenderLinkHosts for
// DEFENDER_LINK_HOSTS.
func (c *Cloud) Set(variable, value string) string {
	parameter := ""
	for word := range strings.SplitSeq(strings.ToLower(variable), "_") {
		parameter += strings.ToUpper(word[:1]) + word[1:]
	}
	return "make deploy STACK=" + c.want.Name + " PARAMETERS=" + parameter + "=" + value
}

// resource is one of the stack's resources.
type resource struct{ kind, name string }

const actionListResources = "cloudformation:ListStackResources"

func (c *Cloud) list(ctx context.Context) (map[string]resource, error) {
	found := map[string]resource{}
	pages := cloudformation.NewListStackResourcesPaginator(c.formation,
		&cloudformation.ListStackResourcesInput{StackName: &c.stack.Name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, seen(err, actionListResources, "the stack "+c.stack.Name)
		}
		for _, r := range page.StackResourceSummaries {
			found[aws.ToString(r.LogicalResourceId)] = resource{
				aws.ToString(r.ResourceType), aws.ToString(r.PhysicalResourceId),
			}
		}
	}
	return found, nil
}

// Settings returns the settings that the fetch function runs with, for the checks of its tenant. Errors are those
// of a Look, or a *settings.Error.
func (c *Cloud) Settings(ctx context.Context) (settings.Settings, error) {
	f, err := c.function(c.want.FetchName, func(map[string]string) error { return nil })(ctx)
	if err != nil {
		return settings.Settings{}, err
	}
	return settings.ParseFetch(f.Environment)
}

// once makes a Look that reads the first time only. Interruptions count: they end the whole run.
func once[T any](look doctor.Look[T]) doctor.Look[T] {
	var mu sync.Once
	var value T
	var err error
	return func(ctx context.Context) (T, error) {
		mu.Do(func() { value, err = look(ctx) })
		return value, err
	}
}

// listed makes a Look that fails if the resources could not be listed, because it needs their names.
func listed[T any](c *Cloud, look doctor.Look[T]) doctor.Look[T] {
	return func(ctx context.Context) (T, error) {
		if c.unlisted != nil {
			var none T
			return none, c.unlisted
		}
		return look(ctx)
	}
}
