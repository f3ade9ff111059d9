package evidence

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"packhorse/cmd/packhorse/source"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/registry"
)

// Scheme is the prefix of a bucket URL.
const Scheme = "s3://"

// Options say where the evidence is and what to verify it against.
type Options struct {
	From       string   // s3://BUCKET[/PREFIX] or a folder; empty means the archive in the data folder
	PublicKeys []string // files with public keys; empty means the keys of the data folder or the archive
	Data       string   // the data folder
	DataGiven  bool     // use its ledger and keys even if From names another archive
	Table      string   // the DynamoDB table of the ledger; empty means the ledger in the data folder
	Endpoint   string   // URL of the S3 service with the bucket; empty means AWS
	Stack      string   // a deployed stack, whose bucket, ledger and keys are meant; excludes the others
	TenantID   string   // find only packages of this tenant; empty means any
	Registry   string   // the DynamoDB table of the stack's registry of tenants; set by Resolve

	own string // the tenant of the stack's parameters; set by Resolve
}

// Resolve looks up what the stack's bucket and tables are called, if a stack is named. A stack without a registry has
// one tenant, which is then the only one to find packages of, unless another one is named.
func (o *Options) Resolve(ctx context.Context) error {
	if o.Stack == "" {
		return nil
	}
	s, err := stack.Open(ctx, o.Stack)
	if err != nil {
		return err
	}
	o.take(s)
	return o.ofTenant(ctx, dynamodb.NewFromConfig(s.AWS))
}

// ofTenant looks up the bucket of the tenant, if its entry in the registry has one of its own.
func (o *Options) ofTenant(ctx context.Context, db *dynamodb.Client) error {
	if o.Registry == "" || o.TenantID == "" || o.TenantID == o.own {
		return nil
	}
	entry, err := registry.New(db, o.Registry).Get(ctx, o.TenantID)
	if err != nil {
		return source.Explain(err)
	}
	if entry.Bucket != "" {
		o.From = Scheme + entry.Bucket
	}
	return nil
}

func (o *Options) take(s *stack.Stack) {
	o.From, o.Table, o.Registry = Scheme+s.Outputs[stack.OutputBucket], s.Outputs[stack.OutputLedger], s.Outputs[stack.OutputTenants]
	o.own = s.TenantID()
	if o.TenantID == "" && o.Registry == "" {
		o.TenantID = o.own
	}
}

// InS3 reports whether From is the URL of a bucket.
func (o Options) InS3() bool { return strings.HasPrefix(o.From, Scheme) }

// Bucket splits From, such as s3://bucket/prefix. The prefix ends in a slash, or is empty.
func (o Options) Bucket() (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(o.From, Scheme), "/")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return bucket, prefix
}
