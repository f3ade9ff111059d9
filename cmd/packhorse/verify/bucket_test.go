package verify_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/verify"
	"packhorse/internal/investigation"
)

// TestBucket is the archive on an S3 server, with its versions and locks. It is not parallel: a
// process can have one such server.
func TestBucket(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{
		Dir: dir, Bucket: bucket, ObjectLock: true,
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
	old := lock
	lock.Until = until
	t.Cleanup(func() { lock = old })
	w := newWorldIn(t, func(key string, body []byte, lock investigation.Retention) string {
		return put(t, client, key, body, lock)
	})
	a := verify.NewBucket(client, bucket, "s3://"+bucket)
	sum := runOn(t, a, w.trust(t), w.book, verify.Scope{})
	if len(sum.Findings) > 0 || len(sum.Subjects) != 8 || len(sum.Remarks) > 0 {
		t.Fatalf("found %q, %d subjects, remarks %q", sum.Findings, len(sum.Subjects), sum.Remarks)
	}
	for _, check := range []verify.Check{verify.CheckVersion, verify.CheckLock} {
		if r := sum.Subjects[len(sum.Subjects)-1].Result(check); r.Verdict != verify.VerdictOK {
			t.Errorf("%+v", r)
		}
	}

	replaced, deleted, released := key(prefix, 1, ".zip"), key(prefix, 2, ".zip"), key(prefix, 3, ".json")
	put(t, client, replaced, zipped(t, "forged"), lock)
	_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: &deleted})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.PutObjectLegalHold(t.Context(), &s3.PutObjectLegalHoldInput{
		Bucket: aws.String(bucket), Key: &released,
		LegalHold: &types.ObjectLockLegalHold{Status: types.ObjectLockLegalHoldStatusOff},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum = runOn(t, a, w.trust(t), w.book, verify.Scope{})
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
	if len(sum.Findings) != 3 { // the bytes of the version that the manifest names are still true
		t.Errorf("%d findings:\n%s", len(sum.Findings), text)
	}
}

func put(t *testing.T, client *s3.Client, key string, body []byte, lock investigation.Retention) string {
	t.Helper()
	in := &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(body),
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
