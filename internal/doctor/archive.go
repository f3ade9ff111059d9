package doctor

func (p MachinePorts) archiveChecks() []Check {
	in := []string{nameArchive}
	before := []string{nameSettings}
	if p.Want.Bucket == "" {
		before = append(before, nameFolder, nameAttributes)
	}
	return []Check{
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

func (p MachinePorts) judgeLock(locks bool) Finding {
	switch {
	case locks:
		return Good("Object Lock is on")
	case p.Want.Bucket == "":
		return Fail("the next run turns it on: packhorse run --until-idle --data "+shell(p.Want.Data), "the archive has no Object Lock")
	}
	at := " --bucket " + shell(p.Want.Bucket)
	if p.Want.Endpoint != "" {
		at += " --endpoint-url " + shell(p.Want.Endpoint)
	}
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
