package cloud

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"packhorse/internal/doctor"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
)

// stuckAfter is how long a package may be ready, as OldestReadyAlarm has it.
const stuckAfter = 6 * time.Hour

func (c *Cloud) logGroup(name string) doctor.Look[doctor.StackLogs] {
	return func(ctx context.Context) (doctor.StackLogs, error) {
		out, err := c.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
		if err != nil {
			return doctor.StackLogs{}, seen(err, "logs:DescribeLogGroups", "the log group "+name)
		}
		for _, group := range out.LogGroups { // the name itself sorts before longer ones
			if aws.ToString(group.LogGroupName) == name {
				return doctor.StackLogs{Days: int(aws.ToInt32(group.RetentionInDays))}, nil
			}
		}
		return doctor.StackLogs{}, &doctor.MissingError{What: "the log group " + name}
	}
}

func (c *Cloud) alarms(ctx context.Context) ([]doctor.StackAlarm, error) {
	var names []string
	for _, r := range c.resources {
		if r.kind == "AWS::CloudWatch::Alarm" {
			names = append(names, r.name)
		}
	}
	slices.Sort(names)
	var alarms []doctor.StackAlarm
	for some := range slices.Chunk(names, 100) { // the most that one call describes
		out, err := c.metrics.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: some, MaxRecords: aws.Int32(100)})
		if err != nil {
			return nil, seen(err, "cloudwatch:DescribeAlarms", "the alarms")
		}
		for _, a := range out.MetricAlarms {
			alarms = append(alarms, doctor.StackAlarm{
				Name: aws.ToString(a.AlarmName), State: string(a.StateValue), Reason: aws.ToString(a.StateReason),
				Description: aws.ToString(a.AlarmDescription),
				Notifies:    aws.ToBool(a.ActionsEnabled) && len(a.AlarmActions) > 0,
			})
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(alarms, func(a doctor.StackAlarm) bool { return a.Name == name }) {
			return nil, &doctor.MissingError{What: "the alarm " + name}
		}
	}
	return alarms, nil
}

// sweeps reads what the poll function keeps in the ledger about each tenant.
func (c *Cloud) sweeps(ctx context.Context) ([]doctor.StackSweep, error) {
	health, err := ledger.New(c.tables, c.want.Ledger).Health(ctx, c.want.Tenant)
	if err != nil {
		return nil, seen(err, "dynamodb:GetItem", "the table "+c.want.Ledger)
	}
	return []doctor.StackSweep{{Tenant: c.want.Tenant, Health: health}}, nil
}

func (c *Cloud) work(ctx context.Context) (doctor.StackWork, error) {
	records, err := ledger.New(c.tables, c.want.Ledger).Records(ctx, c.want.Tenant)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return doctor.StackWork{}, seen(err, "dynamodb:Scan", "the table "+c.want.Ledger)
	}
	return workOf(records, c.now()), nil
}

// workOf picks what a person should look at, the oldest first.
func workOf(records []investigation.Record, now time.Time) doctor.StackWork {
	work := doctor.StackWork{Records: len(records)}
	for _, r := range records {
		for _, s := range r.Strangers.List() {
			work.Strangers = append(work.Strangers, s.Key)
		}
		ready := r.State == investigation.StateReady || r.State == investigation.StateFetching
		if ready && now.Sub(r.LastUpdatedAt) > stuckAfter {
			work.Stuck = append(work.Stuck, doctor.StackStuck{Action: r.ActionID, Message: r.Message, Since: r.LastUpdatedAt})
		}
	}
	slices.SortStableFunc(work.Stuck, func(a, b doctor.StackStuck) int { return a.Since.Compare(b.Since) })
	return work
}
