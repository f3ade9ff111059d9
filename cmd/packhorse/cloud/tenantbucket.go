package cloud

import (
	"cmp"
	"context"
	"slices"

	"packhorse/internal/doctor"
	"packhorse/internal/tenant"
)

// tenantBucket looks at the bucket that a tenant's entry names, if it names one.
func (c *Cloud) tenantBucket(t tenant.Tenant) doctor.Look[doctor.TenantBucket] {
	return func(ctx context.Context) (doctor.TenantBucket, error) {
		if t.Bucket == "" {
			return doctor.TenantBucket{}, nil
		}
		other := *c
		other.want.Bucket = t.Bucket
		b := doctor.TenantBucket{
			Name: t.Bucket, ARN: "arn:" + c.want.Partition + ":s3:::" + t.Bucket,
			LockWanted: cmp.Or(t.LockMode, c.want.LockMode) != "NONE",
		}
		b.Allowed = slices.Contains(split(c.stack.Parameters["TenantBucketArns"]), b.ARN)
		_, err := other.bucket(ctx)
		if err == nil {
			b.Lock, err = other.lock(ctx)
		}
		if err == nil {
			b.Versioning, err = other.versioning(ctx)
		}
		if err == nil {
			b.Closed, err = other.publicAccess(ctx)
		}
		return b, err
	}
}
