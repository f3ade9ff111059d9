package doctor_test

import (
	"slices"
	"strings"
	"testing"

	"packhorse/internal/doctor"
)

// TestTenantBucket: what is wrong with a tenant's own bucket, with the advice that mends it.
func TestTenantBucket(t *testing.T) {
	t.Parallel()
	well := doctor.TenantBucket{
		Name: "acme-evidence", ARN: "arn:aws:s3:::acme-evidence", Allowed: true, LockWanted: true,
		Lock: doctor.StackLock{Enabled: true}, Versioning: "Enabled", Closed: true,
	}
	for name, c := range map[string]struct {
		change        func(*doctor.TenantBucket)
		err           error
		state         doctor.State
		says, advises string
	}{
		"none":     {func(b *doctor.TenantBucket) { *b = doctor.TenantBucket{} }, nil, doctor.OK, "the stack's", ""},
		"well":     {func(*doctor.TenantBucket) {}, nil, doctor.OK, "acme-evidence", ""},
		"unlocked": {func(b *doctor.TenantBucket) { b.LockWanted, b.Lock.Enabled = false, false }, nil, doctor.OK, "acme-evidence", ""},
		"not allowed": {func(b *doctor.TenantBucket) { b.Allowed = false }, nil, doctor.Failed, "not in TenantBucketArns",
			"make deploy STACK=pk PARAMETERS=TenantBucketArns=arn:aws:s3:::acme-evidence"},
		"no lock": {func(b *doctor.TenantBucket) { b.Lock.Enabled = false }, nil, doctor.Failed, "Object Lock of acme-evidence is off",
			"put-object-lock-configuration --bucket acme-evidence"},
		"no versions": {func(b *doctor.TenantBucket) { b.LockWanted, b.Versioning = false, "Suspended" }, nil, doctor.Failed,
			"does not keep every version", "put-bucket-versioning --bucket acme-evidence"},
		"open": {func(b *doctor.TenantBucket) { b.Closed = false }, nil, doctor.Warning, "public access to acme-evidence",
			"put-public-access-block --bucket acme-evidence"},
		"gone":   {func(*doctor.TenantBucket) {}, &doctor.MissingError{What: "the bucket acme-evidence"}, doctor.Failed, "acme-evidence", "create it"},
		"denied": {func(*doctor.TenantBucket) {}, &doctor.DeniedError{Action: "s3:ListBucket"}, doctor.Skipped, "s3:ListBucket", ""},
	} {
		b := well
		c.change(&b)
		ports := doctor.StackPorts{Want: doctor.StackWanted{Name: "pk"}, OwnBucket: still(b)}
		if c.err != nil {
			ports.OwnBucket = failing[doctor.TenantBucket](c.err)
		}
		checks := doctor.StackTenant(doctor.TenantPorts{}, ports)
		i := slices.IndexFunc(checks, func(c doctor.Check) bool { return c.Name == "tenant.bucket" })
		got := checks[i].Run(t.Context())
		if got.State != c.state || !strings.Contains(got.Text, c.says) || !strings.Contains(got.Advice, c.advises) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}
