package doctor

// TenantBucket is the bucket that a registered tenant has for itself. It is zero for one whose packages are in the
// stack's bucket.
type TenantBucket struct {
	Name       string
	ARN        string
	Allowed    bool // the stack's TenantBucketArns names it
	LockWanted bool // the entry or the stack wants objects locked
	Lock       StackLock
	Versioning string // empty if it was never on
	Closed     bool   // all public access is blocked
}

// tenantBucket returns the check of a tenant's own bucket.
func tenantBucket(p StackPorts) []Check {
	return []Check{{
		Name: "tenant.bucket", Area: areaBucket,
		Looks: "whether a tenant's own bucket exists, is named in `TenantBucketArns`, locks objects as wanted, keeps versions, and is closed to the public",
		Run:   seeing(p.OwnBucket, "create it, or packhorse tenant add --replace without --bucket", p.Want.judgeTenantBucket),
	}}
}

func (w StackWanted) judgeTenantBucket(b TenantBucket) Finding {
	switch {
	case b.Name == "":
		return Good("the stack's")
	case !b.Allowed:
		return Fail(paste("deploy with it, beside those that are there", "make deploy STACK=%s PARAMETERS=TenantBucketArns=%s", shell(w.Name), shell(b.ARN)),
			"%s is not in TenantBucketArns: the fetch function may not write to it", b.Name)
	case b.LockWanted && !b.Lock.Enabled:
		return Fail(paste("turn it on", "aws s3api put-object-lock-configuration --bucket %s --object-lock-configuration '%s'", shell(b.Name),
			`{"ObjectLockEnabled":"Enabled"}`), "Object Lock of %s is off: nothing is fetched for this tenant", b.Name)
	case b.Versioning != "Enabled":
		return Fail(enableVersioning(b.Name), "%s does not keep every version: evidence can be overwritten", b.Name)
	case !b.Closed:
		return Warn(blockPublicAccess(b.Name), "public access to %s is not blocked", b.Name)
	default:
		return Good("%s", b.Name)
	}
}
