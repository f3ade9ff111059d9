package cloud

import (
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"packhorse/internal/doctor"
	"packhorse/internal/settings"
)

func (c *Cloud) state(ctx context.Context) (doctor.StackState, error) {
	out, err := c.formation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &c.stack.Name})
	if err != nil {
		return doctor.StackState{}, seen(err, "cloudformation:DescribeStacks", "the stack "+c.stack.Name)
	}
	if len(out.Stacks) != 1 {
		return doctor.StackState{}, &doctor.MissingError{What: "the stack " + c.stack.Name}
	}
	s := out.Stacks[0]
	return doctor.StackState{
		Status: string(s.StackStatus), Reason: aws.ToString(s.StackStatusReason),
		Drifted:         s.DriftInformation != nil && s.DriftInformation.StackDriftStatus == types.StackDriftStatusDrifted,
		TemplateVersion: c.stack.Outputs[outputTemplate],
	}, nil
}

func (c *Cloud) function(name string, parse func(map[string]string) error) doctor.Look[doctor.StackFunction] {
	return func(ctx context.Context) (doctor.StackFunction, error) {
		out, err := c.lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil {
			return doctor.StackFunction{}, seen(err, "lambda:GetFunctionConfiguration", "the function "+name)
		}
		f := doctor.StackFunction{
			ARN: aws.ToString(out.FunctionArn), Role: aws.ToString(out.Role), State: string(out.State),
			StateReason: aws.ToString(out.StateReason), Update: string(out.LastUpdateStatus),
			UpdateReason: aws.ToString(out.LastUpdateStatusReason), Modified: aws.ToString(out.LastModified),
			Environment: map[string]string{},
		}
		if len(out.Architectures) > 0 {
			f.Architecture = string(out.Architectures[0])
		}
		if out.Environment != nil {
			f.Environment = out.Environment.Variables
		}
		f.Settings = mistakes(parse(f.Environment))
		return f, nil
	}
}

// mistakes returns what is wrong with settings on one line.
func mistakes(err error) string {
	wrong, ok := errors.AsType[*settings.Error](err)
	if !ok {
		return ""
	}
	var texts []string
	for _, p := range wrong.Problems {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, "; ")
}

func (c *Cloud) concurrency(name string) doctor.Look[doctor.StackConcurrency] {
	return func(ctx context.Context) (doctor.StackConcurrency, error) {
		out, err := c.lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil {
			return doctor.StackConcurrency{}, seen(err, "lambda:GetFunctionConcurrency", "the function "+name)
		}
		return doctor.StackConcurrency{
			Reserved: out.ReservedConcurrentExecutions != nil, Limit: int(aws.ToInt32(out.ReservedConcurrentExecutions)),
		}, nil
	}
}

func (c *Cloud) account(ctx context.Context) (doctor.StackAccount, error) {
	out, err := c.lambda.GetAccountSettings(ctx, &lambda.GetAccountSettingsInput{})
	if err != nil {
		return doctor.StackAccount{}, seen(err, "lambda:GetAccountSettings", "the account")
	}
	return doctor.StackAccount{
		Limit:      int(out.AccountLimit.ConcurrentExecutions),
		Unreserved: int(aws.ToInt32(out.AccountLimit.UnreservedConcurrentExecutions)),
	}, nil
}
