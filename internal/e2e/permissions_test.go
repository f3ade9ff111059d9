package e2e_test

import (
	"maps"
	"strings"
	"testing"

	"packhorse/internal/cfn"
)

// The principals that may want access to the bucket and the keys. The administrator, the root user,
// the writer and the break-glass role have identity policies that allow everything.
const (
	theFunction  = "arn:aws:iam::" + cfn.Account + ":role/FetchPackageRole"
	thePoller    = "arn:aws:iam::" + cfn.Account + ":role/PollRole"
	anAdmin      = "arn:aws:iam::" + cfn.Account + ":role/admin"
	aWriter      = "arn:aws:iam::" + cfn.Account + ":role/evidence/custodian"
	anotherOne   = "arn:aws:iam::" + cfn.Account + ":user/counsel"
	theRoot      = "arn:aws:iam::" + cfn.Account + ":root"
	inEmergency  = "arn:aws:iam::" + cfn.Account + ":role/glass"
	aService     = "" // has no aws:PrincipalArn
	theBucket    = "arn:aws:s3:::EvidenceBucket"
	thePackage   = theBucket + "/packages/t/m/a.zip"
	theCustomers = "arn:aws:kms:us-east-1:" + cfn.Account + ":key/1234"

	// What registered tenants bring along.
	aTenantsBucket = "arn:aws:s3:::acme-evidence"
	anotherBucket  = "arn:aws:s3:::bravo-evidence"
	aTenantsKey    = "arn:aws:kms:us-east-1:" + cfn.Account + ":key/0a1b"
	aTenantsSecret = "arn:aws:secretsmanager:us-east-1:" + cfn.Account + ":secret:acme-AbCdEf"
)

// may decides as IAM would in a stack.
func may(t *testing.T, stack cfn.Stack, r request) bool {
	t.Helper()
	var resource []statement
	switch {
	case strings.HasPrefix(r.resource, theBucket):
		resource = statementsOf(t, stack["EvidenceBucketPolicy"].Properties["PolicyDocument"])
	case strings.HasPrefix(r.resource, aTenantsBucket), strings.HasPrefix(r.resource, anotherBucket),
		strings.HasPrefix(r.resource, aTenantsSecret): // has no policy
	case r.resource == theCustomers, r.resource == aTenantsKey: // its key policy delegates to the account
		resource = []statement{{
			effect: "Allow", principal: map[string]any{"AWS": theRoot},
			actions: []string{"kms:*"}, resources: []string{"*"},
		}}
	default:
		_, key, _ := strings.Cut(r.resource, "/")
		resource = statementsOf(t, stack[key].Properties["KeyPolicy"])
	}
	facts := map[string]string{"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
	if r.principal != aService {
		facts["aws:PrincipalArn"] = r.principal
	}
	if r.action == "s3:PutObject" {
		facts["s3:if-none-match"], facts["s3:ObjectCreationOperation"] = "*", "true"
	}
	maps.Copy(facts, r.facts)
	maps.DeleteFunc(facts, func(_, fact string) bool { return fact == "" })
	r.facts = facts
	return allowed(t, resource, identityOf(t, stack, r.principal), r)
}

// identityOf returns the principal's identity policies.
func identityOf(t *testing.T, stack cfn.Stack, principal string) (all []statement) {
	t.Helper()
	for name, role := range map[string]string{"FetchPackageRole": theFunction, "PollRole": thePoller} {
		if principal != role {
			continue
		}
		for _, policy := range stack[name].Properties["Policies"].([]any) {
			all = append(all, statementsOf(t, policy.(map[string]any)["PolicyDocument"])...)
		}
		return all
	}
	return []statement{{effect: "Allow", actions: []string{"*"}, resources: []string{"*"}}}
}

type permission struct {
	name      string
	principal string
	action    string
	resource  string
	facts     map[string]string
	want      bool
}

func check(t *testing.T, stack cfn.Stack, permissions []permission) {
	t.Helper()
	for _, p := range permissions {
		got := may(t, stack, request{p.principal, p.action, p.resource, p.facts})
		if got != p.want {
			t.Errorf("%s: %s %s by %q: got %t, want %t", p.name, p.action, p.resource, p.principal, got, p.want)
		}
	}
}

func lock(mode, days string) map[string]string {
	return map[string]string{"s3:object-lock-mode": mode, "s3:object-lock-remaining-retention-days": days}
}

func hold(status string) map[string]string {
	return map[string]string{"s3:object-lock-legal-hold": status}
}

// Nobody can plant objects in the archive, and the function itself can only lock as the stack is
// configured.
func TestWhoWritesEvidence(t *testing.T) {
	stack := deploy(t, map[string]string{
		"ObjectLockMode": "COMPLIANCE", "ObjectLockDays": "30", "LegalHold": "true",
		"EvidenceWriters": aWriter + "," + anotherOne,
	})
	const put, retain, holds = "s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold"
	overwriting := map[string]string{"s3:if-none-match": ""}
	check(t, stack, []permission{
		{"its own", theFunction, put, thePackage, nil, true},
		{"its case", theFunction, "s3:PutObjectTagging", thePackage, nil, true},
		{"its lock", theFunction, retain, thePackage, lock("COMPLIANCE", "30"), true},
		{"the bucket's default, shorter", theFunction, retain, thePackage, lock("COMPLIANCE", "1"), true},
		{"another mode", theFunction, retain, thePackage, lock("GOVERNANCE", "30"), false},
		{"too long", theFunction, retain, thePackage, lock("COMPLIANCE", "31"), false},
		{"for ever", theFunction, retain, thePackage, lock("COMPLIANCE", "36500"), false},
		{"taking the lock off", theFunction, retain, thePackage, nil, false},
		{"a hold", theFunction, holds, thePackage, hold("ON"), true},
		{"taking a hold off", theFunction, holds, thePackage, hold("OFF"), false},
		{"elsewhere", theFunction, put, theBucket + "/other/a.zip", nil, false},
		{"a look at the versions", theFunction, "s3:ListBucketVersions", theBucket, nil, true},
		{"a look at one", theFunction, "s3:GetObjectVersion", thePackage, nil, true},
		{"deleting", theFunction, "s3:DeleteObjectVersion", thePackage, nil, false},

		{"planting", anAdmin, put, thePackage, nil, false},
		{"planting as root", theRoot, put, thePackage, nil, false},
		{"planting in break glass", inEmergency, put, thePackage, nil, false},
		{"planting by the poller", thePoller, put, thePackage, nil, false},
		{"planting by a service", aService, put, thePackage, nil, false},
		{"planting anywhere", anAdmin, put, theBucket + "/signing-keys/x.pem", nil, false},
		{"an access list", anAdmin, "s3:PutObjectAcl", thePackage, nil, false},
		{"a version's tags", anAdmin, "s3:PutObjectVersionTagging", thePackage, nil, false},
		{"no tags", anAdmin, "s3:DeleteObjectTagging", thePackage, nil, false},
		{"another lock", anAdmin, retain, thePackage, lock("COMPLIANCE", "30"), false},
		{"a hold by anybody", anAdmin, holds, thePackage, hold("OFF"), false},
		{"a replica", anAdmin, "s3:ReplicateObject", thePackage, nil, false},
		{"a replica's tags", anAdmin, "s3:ReplicateTags", thePackage, nil, false},
		{"a replica's deletion", anAdmin, "s3:ReplicateDelete", thePackage, nil, false},
		{"a bypass", anAdmin, "s3:BypassGovernanceRetention", thePackage, nil, false},
		{"reading", anAdmin, "s3:GetObjectVersion", thePackage, nil, true},
		{"a deployment", anAdmin, "s3:PutBucketPolicy", theBucket, nil, true},
		{"a deployment's lock", anAdmin, "s3:PutBucketObjectLockConfiguration", theBucket, nil, true},

		{"a named writer", aWriter, put, thePackage, nil, true},
		{"the next one", anotherOne, holds, thePackage, hold("OFF"), true},
		{"a named writer, over it", aWriter, put, thePackage, overwriting, false},
		{"a namesake", aWriter + "2", put, thePackage, nil, false},
	})
}

// Without configured writers, locks and holds, the stack allows none.
func TestWhoWritesEvidenceByDefault(t *testing.T) {
	check(t, deploy(t, nil), []permission{
		{"its own", theFunction, "s3:PutObject", thePackage, nil, true},
		{"its lock", theFunction, "s3:PutObjectRetention", thePackage, lock("GOVERNANCE", "365"), true},
		{"the other", theFunction, "s3:PutObjectRetention", thePackage, lock("COMPLIANCE", "365"), false},
		{"a hold that nobody asked for", theFunction, "s3:PutObjectLegalHold", thePackage, hold("ON"), false},
		{"planting", anAdmin, "s3:PutObject", thePackage, nil, false},
		{"a writer of another stack", aWriter, "s3:PutObject", thePackage, nil, false},
		{"a bypass", inEmergency, "s3:BypassGovernanceRetention", thePackage, nil, false},
	})
	check(t, deploy(t, map[string]string{"ObjectLockMode": "NONE"}), []permission{
		{"without a lock", theFunction, "s3:PutObject", thePackage, nil, true},
		{"a lock in spite of it", theFunction, "s3:PutObjectRetention", thePackage, lock("GOVERNANCE", "1"), false},
		{"the word for none", theFunction, "s3:PutObjectRetention", thePackage, lock("NONE", "1"), false},
	})
}

// Registered tenants may bring buckets, keys and secrets, but only those that the parameters name. In the stack's own
// bucket they may have a prefix of their own, and no other lock than the stack's.
func TestWhatTenantsBringAlong(t *testing.T) {
	const bucket, other, key, secret = aTenantsBucket, anotherBucket, aTenantsKey, aTenantsSecret
	via := func(service string) map[string]string {
		return map[string]string{"kms:ViaService": service + ".us-east-1.amazonaws.com"}
	}
	none := deploy(t, map[string]string{"ManyTenants": "true"})
	check(t, none, []permission{
		{"a prefix", theFunction, "s3:PutObject", theBucket + "/acme/a.zip", nil, true},
		{"a longer lock", theFunction, "s3:PutObjectRetention", theBucket + "/acme/a.zip", lock("GOVERNANCE", "366"), false},
		{"a bucket", theFunction, "s3:PutObject", bucket + "/packages/a.zip", nil, false},
		{"a secret", theFunction, "secretsmanager:GetSecretValue", secret, nil, false},
		{"a key", thePoller, "kms:Sign", key, nil, false},
	})
	some := deploy(t, map[string]string{
		"ManyTenants": "true", "TenantBucketArns": bucket + "," + other, "TenantKeyArns": key, "TenantSecretArns": secret,
	})
	for _, at := range []string{bucket, other} {
		check(t, some, []permission{
			{"its package", theFunction, "s3:PutObject", at + "/packages/a.zip", nil, true},
			{"its lock", theFunction, "s3:PutObjectRetention", at + "/a.zip", lock("COMPLIANCE", "3650"), true},
			{"a hold", theFunction, "s3:PutObjectLegalHold", at + "/a.zip", hold("ON"), true},
			{"taking it off", theFunction, "s3:PutObjectLegalHold", at + "/a.zip", hold("OFF"), false},
			{"deleting", theFunction, "s3:DeleteObjectVersion", at + "/a.zip", nil, false},
			{"a look", theFunction, "s3:ListBucket", at, nil, true},
			{"its policy", theFunction, "s3:PutBucketPolicy", at, nil, false},
			{"another's", theFunction, "s3:PutObject", at + "2/a.zip", nil, false},
			{"the poller's", thePoller, "s3:PutObject", at + "/a.zip", nil, false},
		})
	}
	for _, who := range []string{thePoller, theFunction} {
		check(t, some, []permission{
			{"a secret", who, "secretsmanager:GetSecretValue", secret, nil, true},
			{"another's", who, "secretsmanager:GetSecretValue", secret + "2", nil, false},
			{"an assertion", who, "kms:Sign", key, nil, true},
			{"the secret's key", who, "kms:Decrypt", key, via("secretsmanager"), true},
			{"any text", who, "kms:Decrypt", key, nil, false},
			{"the evidence's key", who, "kms:GenerateDataKey", key, via("s3"), who == theFunction},
		})
	}
}

// Only the function signs, and only the break-glass role can delete a key: without the encryption
// key, locked evidence can no longer be read.
func TestWhoUsesTheKeys(t *testing.T) {
	const (
		signing  = "arn:aws:kms:us-east-1:" + cfn.Account + ":key/SigningKey"
		evidence = "arn:aws:kms:us-east-1:" + cfn.Account + ":key/Key"
	)
	sealed := deploy(t, nil)
	open := deploy(t, map[string]string{"BreakGlassPrincipalArn": inEmergency})
	permissions := []permission{
		{"its signature", theFunction, "kms:Sign", signing, nil, true},
		{"its public half", theFunction, "kms:GetPublicKey", signing, nil, true},
		{"its deletion", theFunction, "kms:ScheduleKeyDeletion", signing, nil, false},
		{"another's signature", anAdmin, "kms:Sign", signing, nil, false},
		{"the root's", theRoot, "kms:Sign", signing, nil, false},
		{"the poller's", thePoller, "kms:Sign", signing, nil, false},
		{"the break glass's", inEmergency, "kms:Sign", signing, nil, false},
		{"checking", anAdmin, "kms:Verify", signing, nil, true},
		{"the public half", anAdmin, "kms:GetPublicKey", signing, nil, true},
		{"reading", anAdmin, "kms:Decrypt", evidence, nil, true},
	}
	for _, key := range []string{signing, evidence} {
		for _, action := range []string{"kms:ScheduleKeyDeletion", "kms:DisableKey", "kms:DeleteImportedKeyMaterial"} {
			for _, who := range []string{anAdmin, theRoot, thePoller, aWriter} {
				permissions = append(permissions, permission{"taking it away", who, action, key, nil, false})
			}
			check(t, sealed, []permission{{"without a glass", inEmergency, action, key, nil, false}})
			check(t, open, []permission{{"with it", inEmergency, action, key, nil, true}})
		}
		permissions = append(permissions,
			permission{"a repair", anAdmin, "kms:EnableKey", key, nil, true},
			permission{"a repair", anAdmin, "kms:CancelKeyDeletion", key, nil, true},
			// docs/evidence.md says so: anyone who deploys can lift the denial, and an event reports it.
			permission{"a deployment", anAdmin, "kms:PutKeyPolicy", key, nil, true})
	}
	for _, stack := range []cfn.Stack{sealed, open} {
		check(t, stack, permissions)
	}
	check(t, open, []permission{
		{"bypassing", inEmergency, "s3:BypassGovernanceRetention", thePackage, nil, true},
		{"bypassing", anAdmin, "s3:BypassGovernanceRetention", thePackage, nil, false},
	})
}

// A customer's key encrypts everything stored next to the evidence, and the functions may use it
// only through DynamoDB.
func TestDataKey(t *testing.T) {
	stack := deploy(t, map[string]string{"DataKeyArn": theCustomers, "KeepLogs": "true"})
	for _, name := range []string{"PollLogs", "FetchPackageLogs", "KeptPollLogs", "KeptFetchPackageLogs"} {
		if got := stack[name].Properties["KmsKeyId"]; got != theCustomers {
			t.Errorf("%s: got the key %v", name, got)
		}
	}
	for _, name := range []string{"LedgerTable", "BudgetTable"} {
		sse, _ := stack[name].Properties["SSESpecification"].(map[string]any)
		if sse["KMSMasterKeyId"] != theCustomers || sse["SSEEnabled"] != "true" || sse["SSEType"] != "KMS" {
			t.Errorf("%s: got %v", name, sse)
		}
	}
	via := map[string]string{"kms:ViaService": "dynamodb.us-east-1.amazonaws.com"}
	for _, who := range []string{theFunction, thePoller} {
		r := request{who, "kms:Decrypt", theCustomers, via}
		if !may(t, stack, r) {
			t.Errorf("%s may not use the key", who)
		}
		r.facts = nil
		if may(t, stack, r) {
			t.Errorf("%s may use the key outside DynamoDB", who)
		}
	}
	for name, resource := range deploy(t, nil) {
		if resource.Properties["SSESpecification"] != nil || resource.Properties["KmsKeyId"] != nil &&
			resource.Type == "AWS::Logs::LogGroup" {
			t.Errorf("%s has a key that was not configured", name)
		}
	}
}
