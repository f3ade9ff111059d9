package doctor

import "context"

func (p MachinePorts) archiveChecks() []Check {
	in := []string{nameArchive}
	before := []string{nameSettings}
	if p.Want.Bucket == "" {
		before = append(before, nameFolder, nameAttributes)
	}
	checks := []Check{
		{
			Name: nameArchive, Area: areaArchive, After: before,
			Looks: "whether the archive can be opened", Run: asking(p.Archive, func(struct{}) Finding { return Good("%s", p.where()) }),
		},
		{
			Name: "archive.lock", Area: areaArchive, After: in, Looks: "whether the archive locks objects, as configured",
			Run: asking(p.Lock, p.judgeLock),
		},
		{
			Name: "archive.conditions", Area: areaArchive, After: []string{nameArchive, "signing.published"},
			Looks: "whether the archive refuses to overwrite an object, proved with the published key and a digest that is wrong," +
				" so that nothing can be written",
			Run: seeing(p.Conditions, "", judgeConditions),
		},
		{
			Name: "archive.strangers", Area: areaArchive, After: []string{nameSettings, nameDatabase},
			Looks: "whether objects that Packhorse did not store lie in its places", Run: seeing(p.Work, "", judgeStrangers),
		},
	}
	if p.Want.Bucket == "" {
		return checks
	}
	return append(checks, p.bucketChecks(in)...)
}

// bucketChecks are those of a bucket of one's own. The embedded one always keeps versions, and the data folder is
// closed to others.
func (p MachinePorts) bucketChecks(after []string) []Check {
	return []Check{
		{
			Name: "archive.versioning", Area: areaArchive, After: after, Looks: "whether the bucket keeps every version",
			Run: seeing(p.Versioning, "", p.judgeVersioning),
		},
		{
			Name: "archive.encryption", Area: areaArchive, After: after, Looks: "whether the bucket encrypts what it stores",
			Run: seeing(p.Encryption, "", p.judgeEncryption),
		},
		{
			Name: "archive.public", Area: areaArchive, After: after, Looks: "whether all public access to the bucket is blocked",
			Run: p.public,
		},
	}
}

// at names the bucket to the AWS command line.
func (p MachinePorts) at() string {
	at := " --bucket " + shell(p.Want.Bucket)
	if p.Want.Endpoint != "" {
		at += " --endpoint-url " + shell(p.Want.Endpoint)
	}
	return at
}

func (p MachinePorts) judgeVersioning(status string) Finding {
	if status == "Enabled" {
		return Good("enabled")
	}
	return Fail("enable it: aws s3api put-bucket-versioning --versioning-configuration Status=Enabled"+p.at(),
		"it is %s: evidence can be overwritten", map[bool]string{true: "off", false: "suspended"}[status == ""])
}

func (p MachinePorts) judgeEncryption(algorithm string) Finding {
	if algorithm != "" {
		return Good("%s", algorithm)
	}
	rules := `{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}`
	return Warn("turn it on: aws s3api put-bucket-encryption --server-side-encryption-configuration "+shell(rules)+p.at(),
		"the bucket does not encrypt by default")
}

func (p MachinePorts) public(ctx context.Context) Finding {
	if p.Want.Endpoint != "" {
		return Skip("", "only Amazon S3 has these blocks: see how %s lets the public in", p.Want.Endpoint)
	}
	return seeing(p.PublicAccess, "", func(blocked bool) Finding {
		if blocked {
			return Good("blocked")
		}
		return Fail("block it: aws s3api put-public-access-block --public-access-block-configuration BlockPublicAcls=true,"+
			"IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"+p.at(), "public access is not blocked")
	})(ctx)
}

func (p MachinePorts) where() string {
	if p.Want.Bucket == "" {
		return "in the data folder"
	}
	if p.Want.Endpoint != "" {
		return "s3://" + p.Want.Bucket + " at " + p.Want.Endpoint
	}
	return "s3://" + p.Want.Bucket
}

func (p MachinePorts) judgeLock(l ArchiveLock) Finding {
	switch {
	case l.Mode == "":
		return Warn("lock what is stored from now on: export OBJECT_LOCK_MODE=GOVERNANCE",
			"the settings do not want it (OBJECT_LOCK_MODE is NONE): evidence can be deleted")
	case l.Takes:
		return Good("Object Lock is on, and objects get the mode %s", l.Mode)
	case p.Want.Bucket == "":
		return Fail("the next run turns it on: packhorse run --until-idle --data "+shell(p.Want.Data), "the archive has no Object Lock")
	}
	at := p.at()
	return Fail("turn it on: aws s3api put-bucket-versioning --versioning-configuration Status=Enabled"+at+
		" && aws s3api put-object-lock-configuration --object-lock-configuration ObjectLockEnabled=Enabled"+at,
		"s3://%s has no Object Lock: nothing can be stored", p.Want.Bucket)
}

func judgeConditions(c Conditions) Finding {
	switch c {
	case ConditionsHonored:
		return Good("a write to an existing key was refused")
	case ConditionsIgnored:
		return Fail("use a service that honors If-None-Match", "the service accepted a write that must not replace an object")
	default:
		return Skip("", "the service looked at the digest first, so this shows only with a write, and doctor writes nothing")
	}
}

func judgeStrangers(w MachineWork) Finding {
	if len(w.Strangers) == 0 {
		return Good("none was found")
	}
	var keys []string
	for _, s := range w.Strangers {
		keys = append(keys, s.Key)
	}
	return Warn(`find out who put them there: docs/operations.md, "When an alarm goes off"`,
		"%d objects are not Packhorse's: %s", len(keys), few(keys))
}
