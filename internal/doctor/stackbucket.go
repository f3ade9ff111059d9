package doctor

import "fmt"

func bucketChecks(p StackPorts, w StackWanted) []Check {
	after := []string{"bucket"}
	return []Check{
		{
			Name: "bucket", Area: areaBucket, Looks: "whether the evidence bucket exists, in the stack's region",
			Run: seeing(p.Bucket, w.restore(), w.judgeBucket),
		},
		{
			Name: "bucket.versioning", Area: areaBucket, After: after, Looks: "whether the bucket keeps every version",
			Run: seeing(p.Versioning, "", func(status string) Finding {
				if status == "Enabled" {
					return Good("enabled")
				}
				return Fail(enableVersioning(w.Bucket), "versioning is %s: evidence can be overwritten",
					map[string]string{"": "off", "Suspended": "suspended"}[status])
			}),
		},
		{
			Name: "bucket.lock", Area: areaBucket, After: after,
			Looks: "whether Object Lock is on, with the stack's mode and days",
			Run:   seeing(p.Lock, "", w.judgeLock),
		},
		{
			Name: "bucket.encryption", Area: areaBucket, After: after,
			Looks: "whether the bucket encrypts with the stack's key",
			Run:   seeing(p.Encryption, "", w.judgeEncryption),
		},
		{
			Name: "bucket.public", Area: areaBucket, After: after, Looks: "whether all public access is blocked",
			Run: seeing(p.PublicAccess, "", func(blocked bool) Finding {
				if blocked {
					return Good("blocked")
				}
				return Fail(blockPublicAccess(w.Bucket), "public access is not blocked")
			}),
		},
		{
			Name: "bucket.policy", Area: areaBucket, After: after,
			Looks: "whether the bucket's policy has every denial of the template",
			Run: seeing(p.BucketPolicy, "put it back: "+w.bucketCommand(w.policyText(w.bucketDenials())), func(text string) Finding {
				return w.judgePolicy(text, w.bucketDenials(), w.bucketCommand)
			}),
		},
		{
			Name: "bucket.conditions", Area: areaBucket, After: []string{"bucket.policy"},
			Looks: "whether a write that must not overwrite is refused if the object is there; without writing",
			Run:   seeing(p.BucketPolicy, "", w.judgeConditions),
		},
	}
}

func enableVersioning(bucket string) string {
	return paste("enable it", "aws s3api put-bucket-versioning --bucket %s --versioning-configuration Status=Enabled", shell(bucket))
}

func blockPublicAccess(bucket string) string {
	return paste("block it", "aws s3api put-public-access-block --bucket %s --public-access-block-configuration"+
		" BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true", shell(bucket))
}

func (w StackWanted) bucketCommand(policy string) string {
	return "aws s3api put-bucket-policy --bucket " + shell(w.Bucket) + " --policy " + shell(policy)
}

func (w StackWanted) judgeBucket(b StackBucket) Finding {
	if b.Region != w.Region {
		return Fail("look with the region of the stack: export AWS_REGION="+shell(b.Region), "%s is in %s, the stack in %s",
			w.Bucket, b.Region, w.Region)
	}
	return Good("%s, %s", w.Bucket, b.Region)
}

func (w StackWanted) judgeLock(l StackLock) Finding {
	configuration := `{"ObjectLockEnabled":"Enabled"}`
	wanted := "no default"
	if w.LockMode != "NONE" {
		wanted = fmt.Sprintf("%s for %d days", w.LockMode, w.LockDays)
		configuration = fmt.Sprintf(`{"ObjectLockEnabled":"Enabled","Rule":{"DefaultRetention":{"Mode":%q,"Days":%d}}}`,
			w.LockMode, w.LockDays)
	}
	mend := paste("put it back", "aws s3api put-object-lock-configuration --bucket %s --object-lock-configuration '%s'",
		shell(w.Bucket), configuration)
	got := "no default"
	if l.Mode != "" {
		got = fmt.Sprintf("%s for %d days", l.Mode, l.Days)
	}
	switch {
	case !l.Enabled:
		return Fail(mend, "Object Lock is off: evidence can be deleted")
	case got != wanted && l.Mode == "":
		return Fail(mend, "Object Lock has no default; the stack says %s", wanted)
	case got != wanted:
		return Warn(mend, "Object Lock's default is %s; the stack says %s", got, wanted)
	case w.LockMode == "NONE":
		return Warn("lock the evidence: make deploy STACK="+shell(w.Name)+" PARAMETERS=ObjectLockMode=GOVERNANCE",
			"the stack does not lock evidence: ObjectLockMode is NONE")
	default:
		return Good("%s", got)
	}
}

func (w StackWanted) judgeEncryption(e StackEncryption) Finding {
	if e.Algorithm == "aws:kms" && e.Key == w.KeyARN {
		return Good("with %s", e.Key)
	}
	got := e.Algorithm
	if e.Key != "" {
		got += " with " + e.Key
	}
	if got == "" {
		got = "off"
	}
	return Fail(paste("put it back", "aws s3api put-bucket-encryption --bucket %s --server-side-encryption-configuration %s",
		shell(w.Bucket), shell(compact(map[string]any{"Rules": []any{map[string]any{
			"ApplyServerSideEncryptionByDefault": map[string]string{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": w.KeyARN},
			"BucketKeyEnabled":                   true,
		}}}))), "encryption is %s, not with the stack's key", got)
}

// judgeConditions relies on the policy: S3 refuses any write that does not ask not to overwrite, and Amazon S3
// honors what is asked. Trying it would need a write, which the policy allows to nobody but the function.
func (w StackWanted) judgeConditions(string) Finding {
	if w.OtherS3 != "" {
		return Skip("the first package shows it: the fetch function refuses to go on if a write was not conditional",
			"the functions use another S3, at %s, and a proof would need a write", w.OtherS3)
	}
	return Good("Amazon S3 honors If-None-Match, and NeverOverwrite refuses a write without it")
}
