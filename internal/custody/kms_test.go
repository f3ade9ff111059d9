package custody_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"packhorse/internal/custody"
	"packhorse/internal/manifest"
)

var _ custody.Signer = (*custody.KMS)(nil)

const (
	alias  = "alias/packhorse-signing"
	arn    = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	oldARN = "arn:aws:kms:eu-west-1:123456789012:key/00000000-12ab-34cd-56ef-1234567890ab"
)

// kmsServer speaks the wire protocol of AWS KMS (JSON 1.1) strictly: an unexpected call or field
// fails the test.
type kmsServer struct {
	t *testing.T
	*httptest.Server

	mu    sync.Mutex // guards what follows
	keys  map[string]*ecdsa.PrivateKey
	names map[string]string // ARNs by every name a key can be requested by
	spec  string
	usage string
	codes []string // errors for the next calls; later calls succeed
	calls []string
	lies  bool // signs another digest
}

func startKMS(t *testing.T) *kmsServer {
	t.Helper()
	s := &kmsServer{
		t: t, spec: "ECC_NIST_P256", usage: "SIGN_VERIFY", keys: map[string]*ecdsa.PrivateKey{},
		names: map[string]string{alias: arn, arn: arn, oldARN: oldARN},
	}
	for _, name := range []string{arn, oldARN} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s.keys[name] = key
	}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// signer returns a KMS with the real SDK's client, without retries.
func (s *kmsServer) signer(keyID string) *custody.KMS {
	return custody.NewKMS(kms.New(kms.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(s.URL), HTTPClient: s.Client(),
		Retryer: aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "not-a-secret"}, nil
		}),
	}), keyID)
}

func (s *kmsServer) called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *kmsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if r.Method != http.MethodPost || r.URL.Path != "/" || !ok ||
		r.Header.Get("Content-Type") != "application/x-amz-json-1.1" ||
		!strings.Contains(r.Header.Get("Authorization"), "/eu-west-1/kms/aws4_request") {
		s.t.Errorf("not a KMS call: %s %s %v", r.Method, r.URL, r.Header)
	}
	s.calls = append(s.calls, operation)
	if len(s.codes) > 0 {
		code := s.codes[0]
		if s.codes = s.codes[1:]; code != "" {
			s.refuse(w, code)
			return
		}
	}
	switch operation {
	case "GetPublicKey":
		var in struct {
			KeyID string `json:"KeyId"`
		}
		s.decode(r, &in)
		s.publicKey(w, in.KeyID)
	case "Sign":
		var in struct {
			KeyID                         string `json:"KeyId"`
			MessageType, SigningAlgorithm string
			Message                       []byte
		}
		s.decode(r, &in)
		if in.MessageType != "DIGEST" || in.SigningAlgorithm != "ECDSA_SHA_256" ||
			len(in.Message) != sha256.Size || !strings.HasPrefix(in.KeyID, "arn:") {
			s.t.Errorf("not a digest to sign: %+v", in)
		}
		s.sign(w, in.KeyID, in.Message)
	default:
		s.t.Errorf("unexpected KMS operation %q", operation)
	}
}

func (s *kmsServer) decode(r *http.Request, into any) {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		s.t.Errorf("the KMS call has unexpected fields: %v", err)
	}
}

func (s *kmsServer) answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.t.Error(err)
	}
}

func (s *kmsServer) refuse(w http.ResponseWriter, code string) {
	s.answer(w, http.StatusBadRequest, map[string]string{"__type": code, "message": "no"})
}

func (s *kmsServer) publicKey(w http.ResponseWriter, name string) {
	key, ok := s.keys[s.names[name]]
	if !ok {
		s.refuse(w, "NotFoundException")
		return
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		s.t.Error(err)
	}
	s.answer(w, http.StatusOK, map[string]any{
		"KeyId": s.names[name], "PublicKey": der, "KeySpec": s.spec, "KeyUsage": s.usage,
		"CustomerMasterKeySpec": s.spec, "SigningAlgorithms": []string{"ECDSA_SHA_256"},
	})
}

func (s *kmsServer) sign(w http.ResponseWriter, name string, digest []byte) {
	if s.lies {
		digest = make([]byte, sha256.Size)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, s.keys[name], digest)
	if err != nil {
		s.t.Error(err)
	}
	s.answer(w, http.StatusOK, map[string]any{
		"KeyId": name, "Signature": signature, "SigningAlgorithm": "ECDSA_SHA_256",
	})
}

// idOf returns the manifest's id for the key of an ARN.
func (s *kmsServer) idOf(name string) string {
	der, err := x509.MarshalPKIXPublicKey(s.keys[name].Public())
	if err != nil {
		s.t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func digestOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func TestKMSSigns(t *testing.T) {
	for _, keyID := range []string{alias, arn} {
		s := startKMS(t)
		signer := s.signer(keyID)
		key, err := signer.Current(t.Context())
		want := manifest.KeyRef{ID: s.idOf(arn), Name: arn} // whatever name was requested
		if err != nil || key.KeyRef != want || !key.Public.Equal(s.keys[arn].Public()) {
			t.Fatalf("%s: got %+v, %v, want %+v", keyID, key, err, want)
		}
		for _, text := range []string{"", "one", "two"} {
			signature, err := signer.Sign(t.Context(), key.KeyRef, digestOf(text))
			if err != nil || !ecdsa.VerifyASN1(key.Public, digestOf(text), signature) {
				t.Errorf("%s: invalid signature of %q: %v", keyID, text, err)
			}
		}
		// One call for the public key, and one for each signature.
		if got, want := s.called(), []string{"GetPublicKey", "Sign", "Sign", "Sign"}; !slices.Equal(got, want) {
			t.Errorf("%s: the calls are %q, want %q", keyID, got, want)
		}
	}
}

// A manifest that was not signed yet when the alias was pointed at another key is still signed by
// the key that it names.
func TestKMSFinds(t *testing.T) {
	s := startKMS(t)
	signer := s.signer(alias)
	old := manifest.KeyRef{ID: s.idOf(oldARN), Name: oldARN}
	for range 2 {
		key, err := signer.Find(t.Context(), old)
		if err != nil || key.KeyRef != old || !key.Public.Equal(s.keys[oldARN].Public()) {
			t.Fatalf("got %+v, %v, want %+v", key, err, old)
		}
	}
	signature, err := signer.Sign(t.Context(), old, digestOf("x"))
	if err != nil || !ecdsa.VerifyASN1(&s.keys[oldARN].PublicKey, digestOf("x"), signature) {
		t.Errorf("not signed by the old key: %v", err)
	}
	key, err := signer.Find(t.Context(), manifest.KeyRef{ID: s.idOf(arn)})
	if err != nil || key.Name != arn {
		t.Errorf("the current key without its name: got %+v, %v", key, err)
	}
	if got, want := s.called(), []string{"GetPublicKey", "Sign", "GetPublicKey"}; !slices.Equal(got, want) {
		t.Errorf("the calls are %q, want %q", got, want)
	}
	for name, ref := range map[string]manifest.KeyRef{
		"another id":         {ID: s.idOf(oldARN), Name: arn},
		"no name, not known": {ID: s.idOf(oldARN)},
		"no id":              {Name: arn},
		"gone":               {ID: s.idOf(arn), Name: strings.Replace(arn, "1234", "9999", 1)},
	} {
		if key, err := signer.Find(t.Context(), ref); err == nil {
			t.Errorf("%s: got %+v", name, key)
		}
		if signature, err := signer.Sign(t.Context(), ref, digestOf("x")); err == nil {
			t.Errorf("%s: it was signed: %x", name, signature)
		}
	}
	if got := s.called(); slices.Contains(got[3:], "Sign") {
		t.Errorf("KMS was asked to sign with a key that was not named: %q", got)
	}
}

// Concurrent callers cause one call, and a caller can stop waiting.
func TestKMSIsAskedOnce(t *testing.T) {
	s := startKMS(t)
	signer := s.signer(alias)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if key, err := signer.Current(t.Context()); err != nil || key.Name != arn {
				t.Errorf("got %+v, %v", key, err)
			}
		})
	}
	group.Wait()
	if got := s.called(); len(got) != 1 {
		t.Errorf("the calls are %q, want one", got)
	}
}

func TestKMSWaitsNoLongerThanWanted(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}))
	defer server.Close()
	signer := (&kmsServer{Server: server}).signer(alias)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = signer.Current(t.Context())
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := signer.Current(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancellation", err)
	}
	close(release)
	<-done
}

func TestKMSFailuresSayWhatToDo(t *testing.T) {
	for code, advice := range map[string]string{
		"NotFoundException":             "SIGNING_KEY_ID",
		"AccessDeniedException":         "kms:GetPublicKey and kms:Sign",
		"DisabledException":             "enable it",
		"KMSInvalidStateException":      "deletion pending",
		"UnsupportedOperationException": "ECC_NIST_P256",
		"InvalidKeyUsageException":      "SIGN_VERIFY",
		"InvalidArnException":           "SIGNING_KEY_ID",
		"ThrottlingException":           "used up",
		"ExpiredTokenException":         "credentials",
		"SomethingNew":                  "SomethingNew",
	} {
		s := startKMS(t)
		signer := s.signer(alias)
		s.codes = []string{code, "", code}
		_, err := signer.Current(t.Context())
		if err == nil || !strings.Contains(err.Error(), advice) || !strings.Contains(err.Error(), alias) {
			t.Errorf("%s: got %v, want it to say %q and the key", code, err, advice)
		}
		// Failures are not cached.
		key, err := signer.Current(t.Context())
		if err != nil {
			t.Fatalf("%s: the failure was cached: %v", code, err)
		}
		signature, err := signer.Sign(t.Context(), key.KeyRef, digestOf("x"))
		if err == nil || signature != nil || !strings.Contains(err.Error(), advice) ||
			!strings.Contains(err.Error(), arn) {
			t.Errorf("%s, signing: got %v, want it to say %q and the key", code, err, advice)
		}
		if _, err := signer.Sign(t.Context(), key.KeyRef, digestOf("x")); err != nil {
			t.Errorf("%s: the signing failure was cached: %v", code, err)
		}
	}
}

func TestKMSRefusesOtherKeys(t *testing.T) {
	for _, key := range []struct{ spec, usage string }{
		{"RSA_2048", "SIGN_VERIFY"}, {"ECC_NIST_P384", "SIGN_VERIFY"}, {"ECC_SECG_P256K1", "SIGN_VERIFY"},
		{"ECC_NIST_P256", "KEY_AGREEMENT"}, {"", ""},
	} {
		s := startKMS(t)
		s.spec, s.usage = key.spec, key.usage
		_, err := s.signer(alias).Current(t.Context())
		if err == nil || !strings.Contains(err.Error(), "of spec ECC_NIST_P256 and usage SIGN_VERIFY") ||
			!strings.Contains(err.Error(), "SIGNING_KEY_ID") || !strings.Contains(err.Error(), key.spec) {
			t.Errorf("%+v: got %v", key, err)
		}
	}
	// The key's declared spec differs from the actual curve.
	s := startKMS(t)
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.keys[arn] = other
	if key, err := s.signer(alias).Current(t.Context()); err == nil {
		t.Errorf("a key on another curve is accepted: %+v", key)
	}
}

// A signature that does not verify must not get into the archive.
func TestKMSSignatureIsChecked(t *testing.T) {
	s := startKMS(t)
	signer := s.signer(alias)
	s.lies = true
	key, err := signer.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(t.Context(), key.KeyRef, digestOf("x"))
	if err == nil || signature != nil {
		t.Errorf("got the signature %x, %v", signature, err)
	}
}

func TestKMSSignsNothingButDigests(t *testing.T) {
	s := startKMS(t)
	for _, digest := range [][]byte{nil, []byte("a manifest"), bytes.Repeat([]byte{1}, 33)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d bytes were signed", len(digest))
				}
			}()
			_, _ = s.signer(alias).Sign(t.Context(), manifest.KeyRef{}, digest)
		}()
	}
}
