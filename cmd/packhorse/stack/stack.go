// Package stack reads a deployed stack: the names of its bucket, tables, keys and functions, and the
// parameters it was deployed with.
package stack

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"

	"packhorse/cmd/packhorse/awsconfig"
)

// Stack is a deployed stack.
type Stack struct {
	Name       string
	ID         string // its ARN
	Status     string // of CloudFormation, such as UPDATE_COMPLETE
	Outputs    map[string]string
	Parameters map[string]string // secret values are masked by CloudFormation

	AWS aws.Config // the configuration it was read with
}

// Names of the outputs of template.yaml.
const (
	OutputBucket     = "EvidenceBucketName"
	OutputLedger     = "LedgerTableName"
	OutputBudget     = "BudgetTableName"
	OutputBus        = "EventBusName"
	OutputPoll       = "PollFunctionName"
	OutputFetch      = "FetchPackageFunctionName"
	OutputKey        = "KeyArn"
	OutputSigningKey = "SigningKeyArn"
)

// NotFoundError reports that the account has no stack of that name in the region, or one of something else.
type NotFoundError struct {
	Name, Region, Why string
}

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("stack %q in region %s: %s", e.Name, e.Region, e.Why)
}

// Advice says how to find the stack.
func (*NotFoundError) Advice() string {
	return "check the name, AWS_REGION and AWS_PROFILE: aws cloudformation list-stacks shows the names"
}

// Open reads the stack with the user's AWS configuration. It returns a [NotFoundError] if the stack does not
// exist or is not Packhorse's.
func Open(ctx context.Context, name string) (*Stack, error) {
	cfg, err := awsconfig.Load(ctx, "the stack")
	if err != nil {
		return nil, err
	}
	return Read(ctx, cfg, name)
}

// Read is Open with a given AWS configuration.
func Read(ctx context.Context, cfg aws.Config, name string) (*Stack, error) {
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx,
		&cloudformation.DescribeStacksInput{StackName: aws.String(name)})
	if refusal, ok := errors.AsType[smithy.APIError](err); ok && refusal.ErrorCode() == "ValidationError" {
		return nil, &NotFoundError{name, cfg.Region, refusal.ErrorMessage()}
	}
	if err != nil {
		return nil, fmt.Errorf("describe stack %q: %w", name, err)
	}
	if len(out.Stacks) != 1 {
		return nil, &NotFoundError{name, cfg.Region, fmt.Sprintf("CloudFormation describes %d stacks", len(out.Stacks))}
	}
	found := out.Stacks[0]
	s := &Stack{
		Name: aws.ToString(found.StackName), ID: aws.ToString(found.StackId), Status: string(found.StackStatus),
		Outputs: map[string]string{}, Parameters: map[string]string{}, AWS: cfg,
	}
	for _, o := range found.Outputs {
		s.Outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	for _, p := range found.Parameters {
		s.Parameters[aws.ToString(p.ParameterKey)] = aws.ToString(p.ParameterValue)
	}
	for _, output := range []string{OutputBucket, OutputLedger, OutputBudget} {
		if s.Outputs[output] == "" {
			return nil, &NotFoundError{name, cfg.Region, "it lacks the output " + output + ", so it is not a Packhorse stack, or its deployment failed"}
		}
	}
	return s, nil
}

// TenantID returns the tenant that the stack was deployed for, or an empty string.
func (s *Stack) TenantID() string { return s.Parameters["DefenderTenantId"] }
