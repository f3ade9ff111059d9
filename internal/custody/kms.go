package custody

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

	"packhorse/internal/manifest"
)

// kmsAPI is what is used of the SDK's client.
type kmsAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (
		*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// KMS is a [Signer] whose private keys nobody has: they never leave AWS KMS. It may be used by
// several goroutines at once.
type KMS struct {
	client kmsAPI
	keyID  string // of the key that new manifests name: an ARN, an id or an alias

	// turn guards keys and is held while KMS is asked, so that it is asked once for each. A channel
	// and not a mutex: whoever waits can give up.
	turn chan struct{}
	keys map[string]manifest.Key // by what KMS was asked for, and by the name that it has for it
}

// NewKMS returns a KMS that signs with the key of an ARN, an id or an alias. Nothing is asked yet.
func NewKMS(client kmsAPI, keyID string) *KMS {
	return &KMS{client: client, keyID: keyID, turn: make(chan struct{}, 1), keys: map[string]manifest.Key{}}
}

// Current implements [Signer]. KMS is asked once; an alias that is pointed at another key is followed
// by the processes that start afterwards.
func (k *KMS) Current(ctx context.Context) (manifest.Key, error) {
	key, err := k.get(ctx, k.keyID)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("get the key that signs: %w", err)
	}
	return key, nil
}

// errForeignKey: KMS has no key of that id under that name.
var errForeignKey = errors.New("it is not the key that the manifest names")

// Find implements [Signer]. A key that was current once is found by its name as long as it exists; a
// ref without a name is found only if it is the current one.
func (k *KMS) Find(ctx context.Context, ref manifest.KeyRef) (manifest.Key, error) {
	name := ref.Name
	if name == "" {
		name = k.keyID
	}
	key, err := k.get(ctx, name)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("find key %s: %w", ref.ID, err)
	}
	if key.ID != ref.ID {
		return manifest.Key{}, fmt.Errorf("find key %s: %q has the id %s: %w", ref.ID, name, key.ID, errForeignKey)
	}
	return key, nil
}

// Sign implements [Signer], with one call. The signature is checked before it is returned: what lies
// beside evidence for years must not be found to be wrong then.
func (k *KMS) Sign(ctx context.Context, ref manifest.KeyRef, digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		panic(fmt.Sprintf("custody: %d bytes are no SHA-256 digest", len(digest)))
	}
	key, err := k.Find(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId: aws.String(key.Name), Message: digest,
		MessageType:      types.MessageTypeDigest,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return nil, fmt.Errorf("sign with KMS key %q: %w%s", key.Name, err, kmsHint(err))
	}
	if !ecdsa.VerifyASN1(key.Public, digest, out.Signature) {
		return nil, fmt.Errorf("sign with KMS key %q: the signature that came is none of this key",
			key.Name)
	}
	return out.Signature, nil
}

// get returns the public key of a name. A failure is not kept: the next call asks again.
func (k *KMS) get(ctx context.Context, name string) (manifest.Key, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return manifest.Key{}, context.Cause(ctx)
	}
	if key, ok := k.keys[name]; ok {
		return key, nil
	}
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(name)})
	if err != nil {
		return manifest.Key{}, fmt.Errorf("get the public key of KMS key %q: %w%s", name, err, kmsHint(err))
	}
	key, err := kmsKey(out)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("KMS key %q: %w", name, err)
	}
	k.keys[name], k.keys[key.Name] = key, key
	return key, nil
}

// kmsKey makes a key of what KMS answers, if it can sign manifests.
func kmsKey(out *kms.GetPublicKeyOutput) (manifest.Key, error) {
	if out.KeySpec != types.KeySpecEccNistP256 || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return manifest.Key{}, fmt.Errorf("it is a key of spec %s for %s, but manifests are signed by one of"+
			" spec %s for %s; make one, and set SIGNING_KEY_ID to it", out.KeySpec, out.KeyUsage,
			types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("its public key cannot be read: %w", err)
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return manifest.Key{}, fmt.Errorf("its public key is a %T", parsed)
	}
	return manifest.NewKey(aws.ToString(out.KeyId), public)
}

// kmsHint says what to do about an error of KMS's, where that is known.
func kmsHint(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return " (KMS did not answer in time: is it reachable from here?)"
	}
	failure, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch failure.ErrorCode() {
	case "NotFoundException":
		return " (does SIGNING_KEY_ID name a key of this account and region?)"
	case "AccessDeniedException":
		return " (the role needs kms:GetPublicKey and kms:Sign on the key, and the key's policy must" +
			" leave that to IAM)"
	case "DisabledException":
		return " (the key is disabled: enable it, and what waits is signed)"
	case "KMSInvalidStateException":
		return " (is its deletion pending? Cancel that and enable the key: without it nothing more is" +
			" signed in its name)"
	case "UnsupportedOperationException", "InvalidKeyUsageException":
		return " (manifests are signed by an asymmetric key of spec ECC_NIST_P256 for SIGN_VERIFY)"
	case "InvalidArnException":
		return " (SIGNING_KEY_ID takes the ARN, id or alias of a key)"
	case "ThrottlingException", "LimitExceededException":
		return " (the account's rate of KMS calls is used up: who else signs?)"
	case "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException":
		return " (AWS refuses the credentials of this process)"
	default:
		return ""
	}
}
