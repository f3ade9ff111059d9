package e2e_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

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
	allowed := regexp.MustCompile(`Action: .*s3:(Delete|Bypass|PutBucket|PutEncryption|PutLifecycle)`)
	if found := allowed.FindString(template); found != "" {
		t.Errorf("somebody may do more than store: %s", found)
	}
}
