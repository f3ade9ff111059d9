package e2e_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/cfn"
	"packhorse/internal/investigation"
	"packhorse/internal/settings"
)

const root = "../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A variable known to only one side is a setting without effect.
func TestTemplateSetsEverySetting(t *testing.T) {
	// Variables of the Go runtime and the SDK.
	notOurs := []string{"GOMEMLIMIT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}
	notOnAWS := []string{"DEFENDER_CLIENT_SECRET", "DEFENDER_SECRET_FILE", "DEFENDER_CERTIFICATE_FILE"}

	var got, want []string
	for _, match := range regexp.MustCompile(`(?m)^ +([A-Z][A-Z0-9_]+): `).
		FindAllStringSubmatch(read(t, "template.yaml"), -1) {
		if !slices.Contains(notOurs, match[1]) {
			got = append(got, match[1])
		}
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[settings.Settings]()) {
		name := field.Tag.Get("env")
		if !slices.Contains(notOnAWS, name) {
			want = append(want, name)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the template sets %q, the settings are %q", got, want)
	}
}

// A resource that must outlive the stack has both policies: for deletion and for replacement.
func TestEvidenceOutlivesTheStack(t *testing.T) {
	template := read(t, "template.yaml")
	for _, name := range []string{
		"LedgerTable", "BudgetTable", "TenantsTable", "Key", "SigningKey", "EvidenceBucket", "EvidenceBucketPolicy",
		"CertificateKey",
	} {
		_, resource, _ := strings.Cut(template, "\n  "+name+":\n    Type: ")
		resource, _, _ = strings.Cut(resource, "\n\n")
		for _, line := range []string{"DeletionPolicy: Retain", "UpdateReplacePolicy: Retain"} {
			if !strings.Contains(resource, "\n    "+line+"\n") {
				t.Errorf("%s: %s is missing", name, line)
			}
		}
		for _, line := range []string{
			"ObjectLockEnabled: true", "Status: Enabled", "SSEAlgorithm: aws:kms",
			"RestrictPublicBuckets: true", "AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}",
		} {
			if name == "EvidenceBucket" && !strings.Contains(resource, line) {
				t.Errorf("%s: %s is missing", name, line)
			}
		}
		if strings.HasSuffix(name, "Table") &&
			!strings.Contains(resource, "DeletionProtectionEnabled: true") {
			t.Errorf("%s can be deleted by hand", name)
		}
	}
}

// Everything in the archive is evidence, not only the packages: the function may store all of it,
// and nothing in the bucket may be overwritten.
func TestEvidenceIsMoreThanPackages(t *testing.T) {
	template := read(t, "template.yaml")
	for _, folder := range []string{
		"${ArchivePrefix}", investigation.NotCollectedFolder, investigation.QuarantineFolder,
		investigation.SigningKeysFolder,
	} {
		if !strings.Contains(template, "- !Sub ${EvidenceBucket.Arn}/"+folder+"*\n") {
			t.Errorf("the fetch function may not store under %s", folder)
		}
	}
	_, never, _ := strings.Cut(template, "- Sid: NeverOverwrite")
	never, _, _ = strings.Cut(never, "\n\n")
	if !strings.Contains(never, "Resource: !Sub ${EvidenceBucket.Arn}/*\n") {
		t.Errorf("objects can be overwritten:%s", never)
	}
	more := regexp.MustCompile(`^s3:(\*|Delete|Bypass|PutBucket|PutEncryption|PutLifecycle)`)
	for name, resource := range deploy(t, map[string]string{"LegalHold": "true"}) {
		if resource.Type != "AWS::IAM::Role" {
			continue
		}
		for _, policy := range resource.Properties["Policies"].([]any) {
			for _, s := range statementsOf(t, policy.(map[string]any)["PolicyDocument"]) {
				if s.effect == "Allow" && slices.ContainsFunc(s.actions, more.MatchString) {
					t.Errorf("%s may do more than store: %q", name, s.actions)
				}
			}
		}
	}
}

// Anyone on the path can read and change credentials and evidence sent over plain http, so it is
// only allowed to this machine and private networks.
func TestEndpointsWithoutTLS(t *testing.T) {
	for _, parameter := range []string{"AwsEndpointUrl", "S3EndpointUrl"} {
		for _, endpoint := range []string{
			"", "https://s3.example.com", "https://gateway.example.com:8443/path", "http://127.0.0.1:4566",
			"http://localhost:4566/", "http://[::1]:9000", "http://10.1.2.3", "http://172.16.0.1:4566",
			"http://172.31.255.254:80", "http://192.168.1.2:9000", "http://host.docker.internal:4566",
		} {
			if _, err := tryDeploy(t, map[string]string{parameter: endpoint}); err != nil {
				t.Errorf("%s: %v", parameter, err)
			}
		}
		for _, endpoint := range []string{
			"http://s3.example.com", "http://s3.amazonaws.com", "http://8.8.8.8", "http://172.15.0.1",
			"http://172.32.0.1", "http://192.169.1.1", "http://11.0.0.1", "http://169.254.169.254",
			"http://127.0.0.1@example.com", "http://127.0.0.1:80@example.com", "http://127.0.0.1.example.com",
			"http://localhost.example.com", "http://10.example.com", "http://127.0.0.1/path",
			"http://[::1%25a.example.com]", "http://[fe80::1]", "http://0.0.0.0", "HTTP://example.com",
			"https://user@example.com", "ftp://127.0.0.1", "127.0.0.1:4566", "http://", "https://",
			"http://127.0.0.1 http://example.com",
		} {
			if _, err := tryDeploy(t, map[string]string{parameter: endpoint}); err == nil {
				t.Errorf("%s accepts %q", parameter, endpoint)
			}
		}
	}
}

// Principals must be whole ARNs: with a wildcard, a space or a partial ARN, the policy would deny
// nobody, or S3 would refuse it in the middle of a deployment.
func TestPrincipalsAreWholeARNs(t *testing.T) {
	const role = "arn:aws:iam::123456789012:role/a"
	for parameter, takes := range map[string]map[string]bool{
		"BreakGlassPrincipalArn": {"": true, role: true, role + "," + role: false, role + "*": false},
		"EvidenceWriters": {
			"": true, role: true, role + ",arn:aws-us-gov:iam::123456789012:user/x/y@z": true,
			"arn:aws:iam::123456789012:root": true, role + ", " + role: false, role + ",": false, "*": false,
			"arn:aws:iam::123456789012:role/*": false, "arn:aws:sts::123456789012:assumed-role/a/b": false,
		},
	} {
		for value, want := range takes {
			if _, err := tryDeploy(t, map[string]string{parameter: value}); (err == nil) != want {
				t.Errorf("%s=%q: %v", parameter, value, err)
			}
		}
	}
}

// With KeepLogs the functions write to log groups that outlive the stack; without it they do not.
// Turning it on deletes no log group and thus no logs.
func TestLogsOutliveTheStackWhereWanted(t *testing.T) {
	for _, keep := range []string{"true", "false"} {
		stack := deploy(t, map[string]string{"KeepLogs": keep})
		for _, function := range []string{"Poll", "FetchPackage"} {
			config := stack[function+"Function"].Properties["LoggingConfig"].(map[string]any)
			group := stack[config["LogGroup"].(string)]
			if want := map[string]string{"true": "Retain", "false": "Delete"}[keep]; group.DeletionPolicy != want {
				t.Errorf("KeepLogs=%s: %s logs to a group with the policy %q", keep, function, group.DeletionPolicy)
			}
			if stack[function+"Logs"].Type == "" {
				t.Errorf("KeepLogs=%s deletes the logs of %s", keep, function)
			}
			mine := "arn:aws:any:" + cfn.Region + ":" + cfn.Account + ":" + config["LogGroup"].(string)
			role := map[string]string{"Poll": thePoller, "FetchPackage": theFunction}[function]
			if !anyStatement(t, stack, role, request{action: "logs:PutLogEvents", resource: mine}) {
				t.Errorf("KeepLogs=%s: %s may not write to its log group", keep, function)
			}
			if group.Properties["LogGroupName"] != nil && keep == "true" {
				t.Errorf("a stack with the same name cannot create %v again", group.Properties["LogGroupName"])
			}
		}
	}
}

// anyStatement reports whether a statement in the role's own policies allows the request.
func anyStatement(t *testing.T, stack cfn.Stack, role string, r request) bool {
	t.Helper()
	return slices.ContainsFunc(identityOf(t, stack, role), func(s statement) bool {
		return s.effect == "Allow" && s.matches(t, r)
	})
}
