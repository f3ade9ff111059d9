package cloud

import (
	"cmp"
	"path"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
)

// Names of outputs, besides those of package stack, and of resources in template.yaml.
const (
	outputQueue     = "UndeliveredQueueUrl"
	outputPollLogs  = "PollLogGroupName"
	outputFetchLogs = "FetchPackageLogGroupName"
	outputTemplate  = "TemplateVersion"

	resourceSchedule  = "PollFunctionTick"
	resourceRule      = "FetchPackageFunctionReady"
	resourcePollRole  = "PollRole"
	resourceFetchRole = "FetchPackageRole"
	resourceSecret    = "DefenderSecret"
)

func (c *Cloud) wanted() doctor.StackWanted {
	out, in := c.stack.Outputs, c.stack.Parameters
	id, err := arn.Parse(c.stack.ID)
	if err != nil {
		id = arn.ARN{Partition: "aws", Region: c.stack.AWS.Region}
	}
	of := func(service, what string) string {
		return arn.ARN{Partition: id.Partition, Service: service, Region: id.Region, AccountID: id.AccountID, Resource: what}.String()
	}
	role := func(resource string) string {
		return arn.ARN{
			Partition: id.Partition, Service: "iam", AccountID: id.AccountID, Resource: "role/" + c.resources[resource].name,
		}.String()
	}
	w := doctor.StackWanted{
		Name: c.stack.Name, Region: c.stack.AWS.Region, Account: id.AccountID, Partition: id.Partition,
		Tenant:   c.stack.TenantID(),
		NoApp:    in["DefenderClientId"] == "" && out[stack.OutputTenants] != "",
		PollName: out[stack.OutputPoll], PollARN: of("lambda", "function:"+out[stack.OutputPoll]),
		FetchName: out[stack.OutputFetch], FetchARN: of("lambda", "function:"+out[stack.OutputFetch]),
		PollRole: role(resourcePollRole), FetchRole: role(resourceFetchRole),
		Architecture: in["Architecture"], PollRate: number(in["PollReservedConcurrency"]),
		FetchRate: number(in["FetchReservedConcurrency"]), PollPaused: in["PollState"] == "DISABLED",
		Schedule: cmp.Or(path.Base(c.resources[resourceSchedule].name), "."), Bus: out[stack.OutputBus],
		Rule: c.resources[resourceRule].name, QueueURL: out[outputQueue], QueueARN: of("sqs", path.Base(out[outputQueue])),
		Ledger: out[stack.OutputLedger], Budget: out[stack.OutputBudget], Bucket: out[stack.OutputBucket],
		LockMode: in["ObjectLockMode"], LockDays: number(in["ObjectLockDays"]),
		OtherS3: cmp.Or(in["S3EndpointUrl"], in["AwsEndpointUrl"]),
		KeyARN:  out[stack.OutputKey], SigningKeyARN: out[stack.OutputSigningKey],
		Writers: split(in["EvidenceWriters"]), BreakGlass: in["BreakGlassPrincipalArn"],
		PollLogs: out[outputPollLogs], FetchLogs: out[outputFetchLogs], LogDays: number(in["LogRetentionDays"]),
		DataKey: in["DataKeyArn"],
		Kind:    c.kind(), Secret: c.secretName(), Identity: out[outputIdentity], Audience: out[outputAudience],
		CertificateKey:    cmp.Or(in[parameterCertificateKey], out[outputCertificateKey]),
		CertificateSecret: in[parameterCertificateSecret], OwnCertificateKey: in[parameterCertificateKey] == "",
		Certified: in[parameterCertificate] != "", Topic: cmp.Or(in["AlarmTopicArn"], in["NotificationTopicArn"], in["NotificationEmail"]),
	}
	if w.Schedule == "." { // the resources could not be listed: as the template names it
		w.Schedule = w.Name + "-tick"
	}
	if i := strings.LastIndexByte(w.Rule, '|'); i >= 0 { // CloudFormation may write bus|rule
		w.Rule = w.Rule[i+1:]
	}
	w.PollVariables = c.variables(w)
	w.FetchVariables = c.fetchVariables(w)
	return w
}

// variables returns what both functions' environments must say. Parameters that the deployed template does not
// have are left out.
func (c *Cloud) variables(w doctor.StackWanted) map[string]string {
	all := map[string]string{
		"LEDGER_TABLE": w.Ledger, "BUDGET_TABLE": w.Budget, "EVENT_BUS": w.Bus,
		"TENANTS_TABLE": c.stack.Outputs[stack.OutputTenants],
	}
	c.credentialVariables(all, w)
	c.take(all, map[string]string{
		"DEFENDER_TENANT_ID": "DefenderTenantId", "DEFENDER_CLIENT_ID": "DefenderClientId",
		"DEFENDER_CLOUD": "DefenderCloud", "DEFENDER_API_URL": "DefenderApiUrl",
		"DEFENDER_AUTHORITY_URL": "DefenderAuthorityUrl", "DEFENDER_SCOPE": "DefenderScope",
		"DEFENDER_LINK_HOSTS": "DefenderLinkHosts", "DEFENDER_CA_PEM": "DefenderCaPem",
		"PACKAGE_URI_PER_MINUTE": "PackageUriPerMinute", "PACKAGE_URI_PER_HOUR": "PackageUriPerHour",
		"LOOKBACK": "Lookback", "SWEEP_INTERVAL": "SweepInterval", "CASE_PATTERN": "CasePattern",
	})
	return all
}

func (c *Cloud) fetchVariables(w doctor.StackWanted) map[string]string {
	all := c.variables(w)
	all["ARCHIVE_BUCKET"], all["SIGNING_KEY_ID"] = w.Bucket, w.SigningKeyARN
	c.take(all, map[string]string{
		"ARCHIVE_PREFIX": "ArchivePrefix", "OBJECT_LOCK_MODE": "ObjectLockMode", "OBJECT_LOCK_DAYS": "ObjectLockDays",
		"OBJECT_LOCK_LEGAL_HOLD": "LegalHold", "AWS_ENDPOINT_URL_S3": "S3EndpointUrl",
	})
	return all
}

func (c *Cloud) take(all, parameters map[string]string) {
	for variable, parameter := range parameters {
		if value, ok := c.stack.Parameters[parameter]; ok {
			all[variable] = value
		}
	}
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// number returns 0 for what is not a number: the template only takes numbers.
func number(text string) int {
	n, _ := strconv.Atoi(text)
	return n
}
