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

// A variable that only one side knows is a setting that does nothing.
func TestTemplateSetsEverySetting(t *testing.T) {
	// The Go runtime's and the SDK's.
	notOurs := []string{"GOMEMLIMIT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"}
	notOnAWS := []string{"DEFENDER_CLIENT_SECRET"}

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

// What must outlive the stack says so twice: for the stack's deletion, and for a replacement.
func TestEvidenceOutlivesTheStack(t *testing.T) {
	template := read(t, "template.yaml")
	for _, name := range []string{
		"LedgerTable", "BudgetTable", "Key", "SigningKey", "EvidenceBucket", "EvidenceBucketPolicy",
	} {
		_, resource, _ := strings.Cut(template, "\n  "+name+":\n    Type: ")
		resource, _, _ = strings.Cut(resource, "\n\n")
		for _, line := range []string{"DeletionPolicy: Retain", "UpdateReplacePolicy: Retain"} {
			if !strings.Contains(resource, "\n    "+line+"\n") {
				t.Errorf("%s: there is no %s", name, line)
			}
		}
		for _, line := range []string{
			"ObjectLockEnabled: true", "Status: Enabled", "SSEAlgorithm: aws:kms",
			"RestrictPublicBuckets: true", "AbortIncompleteMultipartUpload: {DaysAfterInitiation: 1}",
		} {
			if name == "EvidenceBucket" && !strings.Contains(resource, line) {
				t.Errorf("%s: there is no %s", name, line)
			}
		}
		if strings.HasSuffix(name, "Table") &&
			!strings.Contains(resource, "DeletionProtectionEnabled: true") {
			t.Errorf("%s: it can be deleted by hand", name)
		}
	}
}

// What the archive has beside packages is as much evidence as they are: it may be stored, and nothing
// in the bucket may be overwritten.
func TestEvidenceIsMoreThanPackages(t *testing.T) {
	template := read(t, "template.yaml")
	for _, folder := range []string{
		"${ArchivePrefix}", investigation.NotCollectedFolder, investigation.QuarantineFolder,
		investigation.SigningKeysFolder,
	} {
		if !strings.Contains(template, "\n                  - !Sub ${EvidenceBucket.Arn}/"+folder+"*\n") {
			t.Errorf("the fetch function may not store under %s", folder)
		}
	}
	_, never, _ := strings.Cut(template, "- Sid: NeverOverwrite")
	never, _, _ = strings.Cut(never, "\n\n")
	if !strings.Contains(never, "Resource: !Sub ${EvidenceBucket.Arn}/*\n") {
		t.Errorf("something can be overwritten:%s", never)
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

// Plain http carries credentials and evidence for everybody to read and to change, so it is for this
// machine and private networks only.
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
				t.Errorf("%s takes %q", parameter, endpoint)
			}
		}
	}
}

// Principals are whole ARNs: a wildcard, a space or a half of one would be a policy that denies
// nobody, or that S3 refuses in the middle of a deployment.
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

// With KeepLogs the functions write to log groups that outlive the stack, without it to none such.
// To turn it on takes no log group, and so no log, away.
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
				t.Errorf("KeepLogs=%s deletes what %s has logged", keep, function)
			}
			mine := "arn:aws:any:" + cfn.Region + ":" + cfn.Account + ":" + config["LogGroup"].(string)
			role := map[string]string{"Poll": thePoller, "FetchPackage": theFunction}[function]
			if !anyStatement(t, stack, role, request{action: "logs:PutLogEvents", resource: mine}) {
				t.Errorf("KeepLogs=%s: %s may not write to its log group", keep, function)
			}
			if group.Properties["LogGroupName"] != nil && keep == "true" {
				t.Errorf("a stack of the same name cannot make %v again", group.Properties["LogGroupName"])
			}
		}
	}
}

// anyStatement reports whether a statement of a role's own allows the request.
func anyStatement(t *testing.T, stack cfn.Stack, role string, r request) bool {
	t.Helper()
	return slices.ContainsFunc(identityOf(t, stack, role), func(s statement) bool {
		return s.effect == "Allow" && s.matches(t, r)
	})
}
