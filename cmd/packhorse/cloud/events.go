package cloud

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	scheduletypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	queuetypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"packhorse/internal/doctor"
)

func (c *Cloud) schedule(ctx context.Context) (doctor.StackSchedule, error) {
	name := c.want.Schedule
	out, err := c.schedules.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &name})
	if err != nil {
		return doctor.StackSchedule{}, seen(err, "scheduler:GetSchedule", "the schedule "+name)
	}
	s := doctor.StackSchedule{
		Name: name, Group: aws.ToString(out.GroupName), Expression: aws.ToString(out.ScheduleExpression),
		Enabled: out.State == scheduletypes.ScheduleStateEnabled,
	}
	if out.Target != nil {
		s.Target, s.Role = aws.ToString(out.Target.Arn), aws.ToString(out.Target.RoleArn)
	}
	return s, nil
}

func (c *Cloud) bus(ctx context.Context) (doctor.StackBus, error) {
	name := c.want.Bus
	out, err := c.events.DescribeEventBus(ctx, &eventbridge.DescribeEventBusInput{Name: &name})
	if err != nil {
		return doctor.StackBus{}, seen(err, "events:DescribeEventBus", "the event bus "+name)
	}
	return doctor.StackBus{Name: aws.ToString(out.Name)}, nil
}

func (c *Cloud) rule(ctx context.Context) (doctor.StackRule, error) {
	bus, name := c.want.Bus, c.want.Rule
	out, err := c.events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{EventBusName: &bus, Name: &name})
	if err != nil {
		return doctor.StackRule{}, seen(err, "events:DescribeRule", "the rule "+name)
	}
	r := doctor.StackRule{
		Name: name, Pattern: aws.ToString(out.EventPattern), Enabled: out.State == eventtypes.RuleStateEnabled,
	}
	targets, err := c.events.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{EventBusName: &bus, Rule: &name})
	if err != nil {
		return doctor.StackRule{}, seen(err, "events:ListTargetsByRule", "the rule "+name)
	}
	for _, t := range targets.Targets {
		target := doctor.StackTarget{ID: aws.ToString(t.Id), ARN: aws.ToString(t.Arn)}
		if t.DeadLetterConfig != nil {
			target.DeadLetters = aws.ToString(t.DeadLetterConfig.Arn)
		}
		r.Targets = append(r.Targets, target)
	}
	return r, nil
}

func (c *Cloud) queue(ctx context.Context) (doctor.StackQueue, error) {
	const visible = queuetypes.QueueAttributeNameApproximateNumberOfMessages
	out, err := c.queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &c.want.QueueURL, AttributeNames: []queuetypes.QueueAttributeName{visible},
	})
	if err != nil {
		return doctor.StackQueue{}, seen(err, "sqs:GetQueueAttributes", "the queue "+c.want.QueueURL)
	}
	n, err := strconv.Atoi(out.Attributes[string(visible)])
	if err != nil {
		return doctor.StackQueue{}, seen(err, "sqs:GetQueueAttributes", "the number of messages")
	}
	return doctor.StackQueue{Messages: n}, nil
}
