//go:build cloud

package cloudtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/event"
	"packhorse/internal/investigation"
	"packhorse/internal/localcloud"
	"packhorse/internal/manifest"
	"packhorse/internal/mde/mdesim"
)

// lockDays is the retention that the stacks are configured with. It differs from the default, to
// show that the setting takes effect.
const lockDays = 30

// lockParameters make the stacks lock what they store.
func lockParameters() []string {
	return []string{"ObjectLockMode=GOVERNANCE", fmt.Sprintf("ObjectLockDays=%d", lockDays)}
}

// newBucket is the request that creates a stack's bucket on the S3 that stands in for AWS's. Object
// Lock has to be on from the start.
func newBucket(name string) *s3.CreateBucketInput {
	return &s3.CreateBucketInput{Bucket: &name, ObjectLockEnabledForBucket: aws.Bool(true)}
}

// publicKey asks KMS for the key that a stack signs with. It does not rely on the bucket's copy.
func (a *account) publicKey(outputs map[string]string) (key *ecdsa.PublicKey, id string) {
	a.t.Helper()
	var answer struct {
		KeySpec, KeyUsage string
		PublicKey         []byte
	}
	a.ask(&answer, "kms", "get-public-key", "--key-id", outputs["SigningKeyArn"])
	if answer.KeySpec != "ECC_NIST_P256" || answer.KeyUsage != "SIGN_VERIFY" {
		a.t.Fatalf("the signing key has spec %s and usage %s", answer.KeySpec, answer.KeyUsage)
	}
	parsed, err := x509.ParsePKIXPublicKey(answer.PublicKey)
	if err != nil {
		a.t.Fatal(err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		a.t.Fatalf("the signing key is a %T", parsed)
	}
	sum := sha256.Sum256(answer.PublicKey)
	return key, hex.EncodeToString(sum[:])
}

// checkEvidence checks that each stack's packages, and the outcome without one, have a manifest
// signed by its key, and that neither can be deleted or overwritten.
func (a *account) checkEvidence(b bucketServer, stacks []map[string]string,
	archived map[string]event.Archived, s *tenant,
) {
	a.t.Helper()
	failed, err := investigation.NotCollectedKeyOf(investigation.Action{
		ID:        investigation.ID{TenantID: mdesim.Defaults().TenantID, ActionID: s.failed.ID},
		MachineID: s.failed.MachineID, CreatedAt: s.failed.CreatedAt,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	outcomes := 0
	for _, outputs := range stacks {
		bucket := outputs["EvidenceBucketName"]
		public, keyID := a.publicKey(outputs)
		var manifests, others []string
		for _, detail := range archived {
			if detail.Bucket == bucket {
				manifests, others = append(manifests, detail.ManifestKey), append(others, detail.Key)
			}
		}
		if b.has(a.t, bucket, failed) {
			manifests = append(manifests, failed)
			outcomes++
		}
		if len(manifests) == 0 {
			continue // the other stack was faster
		}
		for _, manifest := range manifests {
			b.checkSigned(a.t, bucket, manifest, public)
			a.checkMaker(b.get(a.t, bucket, manifest), outputs)
			others = append(others, manifest, investigation.SignatureKey(manifest))
		}
		others = append(others, b.checkPublicKey(a.t, bucket, keyID, public))
		for _, key := range others {
			b.checkLocked(a.t, bucket, key)
		}
	}
	if outcomes != 1 {
		a.t.Errorf("%d buckets have the manifest of the package that will never come, want 1", outcomes)
	}
}

// checkMaker checks that a manifest names the function and the build that wrote it, and the role.
func (a *account) checkMaker(text []byte, outputs map[string]string) {
	a.t.Helper()
	m, err := manifest.Parse(text)
	if err != nil {
		a.t.Fatal(err)
	}
	command := exec.CommandContext(a.t.Context(), "git", "rev-parse", "HEAD")
	command.Dir = a.root
	commit, err := command.Output()
	if err != nil {
		a.t.Fatal(err)
	}
	if m.Software.Commit != strings.TrimSpace(string(commit)) || m.Software.Version == "unknown" ||
		!strings.HasSuffix(m.Software.FunctionARN, ":function:"+outputs["FetchPackageFunctionName"]) ||
		m.Software.FunctionVersion == "" {
		a.t.Errorf("the manifest was made by %+v, at commit %s", m.Software, commit)
	}
	if m.Custody.Bucket != outputs["EvidenceBucketName"] || m.Custody.Account != "000000000000" ||
		!strings.HasPrefix(m.Custody.Principal, "arn:") || m.Custody.Region != localcloud.Region ||
		m.Signature.Key != outputs["SigningKeyArn"] || m.Custody.Retention == nil {
		a.t.Errorf("the manifest's custody is %+v, its key %+v", m.Custody, m.Signature)
	}
}

// get returns an object, or nil if it does not exist.
func (b bucketServer) get(t *testing.T, bucket, key string) []byte {
	t.Helper()
	out, err := b.Client().GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if _, missing := errors.AsType[*types.NoSuchKey](err); missing {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(out.Body)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return content
}

func (b bucketServer) has(t *testing.T, bucket, key string) bool {
	t.Helper()
	return b.get(t, bucket, key) != nil
}

// checkSigned verifies a manifest's signature as anybody can: openssl dgst -sha256 -verify.
func (b bucketServer) checkSigned(t *testing.T, bucket, manifest string, public *ecdsa.PublicKey) {
	t.Helper()
	digest := sha256.Sum256(b.get(t, bucket, manifest))
	signature := b.get(t, bucket, investigation.SignatureKey(manifest))
	if signature == nil || !ecdsa.VerifyASN1(public, digest[:], signature) {
		t.Errorf("%s: the stack's key does not verify the signature (%d bytes)", manifest, len(signature))
	}
	digest[0] ^= 1
	if ecdsa.VerifyASN1(public, digest[:], signature) {
		t.Errorf("%s: the signature verifies other bytes too", manifest)
	}
}

// checkPublicKey compares the public key in the bucket with the one in KMS, and returns its key.
func (b bucketServer) checkPublicKey(t *testing.T, bucket, keyID string, public *ecdsa.PublicKey) string {
	t.Helper()
	key := investigation.SigningKeyKey(keyID)
	block, rest := pem.Decode(b.get(t, bucket, key))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("%s is not one block of PEM", key)
		return key
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil || !bytes.Equal(block.Bytes, der) {
		t.Errorf("%s is not the key of KMS: %v", key, err)
	}
	return key
}

// checkLocked tries to delete an object, and to replace it.
func (b bucketServer) checkLocked(t *testing.T, bucket, key string) {
	t.Helper()
	head, err := b.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	// The object was stored minutes ago.
	until := time.Until(aws.ToTime(head.ObjectLockRetainUntilDate))
	if head.ObjectLockMode != types.ObjectLockModeGovernance ||
		until > lockDays*24*time.Hour || until < lockDays*24*time.Hour-workTimeout-time.Hour {
		t.Errorf("%s: the lock is %q for another %v, want %d days", key, head.ObjectLockMode, until, lockDays)
	}
	before := b.get(t, bucket, key)
	_, err = b.Client().DeleteObject(t.Context(), &s3.DeleteObjectInput{
		Bucket: &bucket, Key: &key, VersionId: head.VersionId,
	})
	checkRefused(t, "delete "+key, err, "AccessDenied")
	over := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("another")}
	want := "AccessDenied"
	if head.VersionId != nil {
		// A new version would only hide the locked one; on AWS the bucket's policy denies that.
		over.IfNoneMatch, want = aws.String("*"), "PreconditionFailed"
	}
	_, err = b.Client().PutObject(t.Context(), over)
	checkRefused(t, "overwrite "+key, err, want)
	after, err := b.Client().GetObject(t.Context(), &s3.GetObjectInput{
		Bucket: &bucket, Key: &key, VersionId: head.VersionId,
	})
	if err != nil {
		t.Errorf("%s: afterwards: %v", key, err)
		return
	}
	content, err := io.ReadAll(after.Body)
	if err := errors.Join(err, after.Body.Close()); err != nil || !bytes.Equal(content, before) {
		t.Errorf("%s: it differs afterwards: %v", key, err)
	}
}

func checkRefused(t *testing.T, what string, err error, want string) {
	t.Helper()
	refused, ok := errors.AsType[smithy.APIError](err)
	if !ok || refused.ErrorCode() != want {
		t.Errorf("%s: got %v, want %s", what, err, want)
	}
}
