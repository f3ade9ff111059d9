package source_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
	"packhorse/internal/verify/verifytest"
)

// TestBucket verifies the archive on an S3 server, with its versions and locks. It is not parallel:
// a process can run only one such server.
func TestBucket(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{
		Dir: dir, Bucket: verifytest.Bucket, ObjectLock: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	client := server.Client()
	until := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second)
	old := verifytest.Lock
	verifytest.Lock.Until = until
	t.Cleanup(func() { verifytest.Lock = old })
	w := verifytest.NewIn(t, func(key string, body []byte, lock investigation.Retention) string {
		return put(t, client, key, body, lock)
	})
	a := source.NewBucket(client, verifytest.Bucket, "s3://"+verifytest.Bucket)
	sum := verifytest.RunOn(t, a, w.Trust(t), w.Book, verify.Scope{})
	if len(sum.Findings) > 0 || len(sum.Subjects) != 8 || len(sum.Remarks) > 0 {
		t.Fatalf("found %q, %d subjects, remarks %q", sum.Findings, len(sum.Subjects), sum.Remarks)
	}
	for _, check := range []verify.Check{verify.CheckVersion, verify.CheckLock} {
		if r := sum.Subjects[len(sum.Subjects)-1].Result(check); r.Verdict != verify.VerdictOK {
			t.Errorf("%+v", r)
		}
	}

	replaced, deleted, released := verifytest.Key(verifytest.Prefix, 1, ".zip"), verifytest.Key(verifytest.Prefix, 2, ".zip"), verifytest.Key(verifytest.Prefix, 3, ".json")
	put(t, client, replaced, verifytest.Zipped(t, "forged"), verifytest.Lock)
	_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(verifytest.Bucket), Key: &deleted})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{
		Bucket: aws.String(verifytest.Bucket), Key: &released,
		LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum = verifytest.RunOn(t, a, w.Trust(t), w.Book, verify.Scope{})
	var all []string
	for _, f := range sum.Findings {
		all = append(all, f.Error())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{
		replaced + ": version: the object was replaced", deleted + ": version: the object is deleted",
		released + ": lock: the legal hold is gone",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not among\n%s", want, text)
		}
	}
	if len(sum.Findings) != 3 { // the bytes of the version that the manifest names are still right
		t.Errorf("%d findings:\n%s", len(sum.Findings), text)
	}
}

func put(t *testing.T, client *s3.Client, key string, body []byte, lock investigation.Retention) string {
	t.Helper()
	in := &s3.PutObjectInput{
		Bucket: aws.String(verifytest.Bucket), Key: &key, Body: bytes.NewReader(body),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c,
	}
	if lock.Mode != "" {
		in.ObjectLockMode, in.ObjectLockRetainUntilDate = types.ObjectLockMode(lock.Mode), &lock.Until
	}
	if lock.LegalHold {
		in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn
	}
	out, err := client.PutObject(t.Context(), in)
	if err != nil {
		t.Fatalf("put %s: %v", key, err)
	}
	return aws.ToString(out.VersionId)
}
