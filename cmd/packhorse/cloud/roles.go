package cloud

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

// need is what a function does to a resource. What the role's policy allows on a condition (the use of keys, the
// source of events) is left out: a simulation is not the call of a service.
type need struct {
	on      string // an ARN
	actions []string
}

// arnOf returns the ARN of something in the stack's account and region.
func (c *Cloud) arnOf(service, what string) string {
	w := c.want
	return arn.ARN{Partition: w.Partition, Service: service, Region: w.Region, AccountID: w.Account, Resource: what}.String()
}

// bothNeed is what both functions do: log, sign in, spend the budget, keep the ledger.
func (c *Cloud) bothNeed(logs string) []need {
	w := c.want
	log := need{on: c.arnOf("logs", "log-group:"+logs+":log-stream:x"), actions: []string{"logs:CreateLogStream", "logs:PutLogEvents"}}
	return slices.Concat([]need{log}, c.credentialNeeds(), []need{
		{on: c.arnOf("dynamodb", "table/"+w.Budget), actions: []string{"dynamodb:GetItem", "dynamodb:UpdateItem"}},
		{on: c.arnOf("dynamodb", "table/"+w.Ledger), actions: []string{"dynamodb:GetItem", "dynamodb:UpdateItem"}},
	})
}

// credentialNeeds is what proving the app takes. The policy of the stack's own key allows its use, not the roles'.
func (c *Cloud) credentialNeeds() []need {
	w := c.want
	switch {
	case w.Kind == tenant.Federated:
		return []need{{on: w.Identity, actions: []string{"sts:AssumeRole"}}}
	case w.Kind == tenant.Certificate && w.CertificateSecret != "":
		return []need{{on: w.CertificateSecret, actions: []string{"secretsmanager:GetSecretValue"}}}
	case w.Kind == tenant.Certificate && w.OwnCertificateKey:
		return nil
	case w.Kind == tenant.Certificate:
		return []need{{on: w.CertificateKey, actions: []string{"kms:GetPublicKey", "kms:Sign"}}}
	default:
		return []need{{on: w.Secret, actions: []string{"secretsmanager:GetSecretValue"}}}
	}
}

func (c *Cloud) pollNeeds() []need {
	ledger := c.arnOf("dynamodb", "table/"+c.want.Ledger)
	return append(c.bothNeed(c.want.PollLogs),
		need{on: ledger, actions: []string{"dynamodb:BatchGetItem"}},
		need{on: ledger + "/index/due", actions: []string{"dynamodb:Query"}})
}

func (c *Cloud) fetchNeeds() []need {
	w := c.want
	bucket := "arn:" + w.Partition + ":s3:::" + w.Bucket
	return append(c.bothNeed(w.FetchLogs),
		need{on: bucket, actions: []string{"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketObjectLockConfiguration"}},
		need{on: bucket + "/" + c.stack.Parameters["ArchivePrefix"] + "x", actions: []string{
			"s3:PutObject", "s3:PutObjectTagging", "s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion",
		}})
}

// may asks IAM what the role's own policies allow. What the bucket and the keys say is another check's.
func (c *Cloud) may(role string, needs []need) doctor.Look[doctor.StackPermissions] {
	return func(ctx context.Context) (doctor.StackPermissions, error) {
		var found doctor.StackPermissions
		for _, n := range needs {
			out, err := c.roles.SimulatePrincipalPolicy(ctx, &iam.SimulatePrincipalPolicyInput{
				PolicySourceArn: &role, ActionNames: n.actions, ResourceArns: []string{n.on},
			})
			if err != nil {
				return found, seen(err, "iam:SimulatePrincipalPolicy", "the role "+role[strings.LastIndexByte(role, '/')+1:])
			}
			for _, r := range out.EvaluationResults {
				found.Of++
				if r.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
					found.Lacks = append(found.Lacks, aws.ToString(r.EvalActionName)+" on "+n.on)
				}
			}
		}
		return found, nil
	}
}
