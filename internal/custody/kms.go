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

// kmsAPI is the part of the SDK's client that KMS uses.
type kmsAPI interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (
		*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// KMS is a [Signer] whose private keys never leave AWS KMS. It is safe for concurrent use.
type KMS struct {
	client kmsAPI
	keyID  string // the ARN, id or alias of the key for new manifests

	// turn guards keys and is held during a call for a key, so that each key is fetched once. It is
	// a channel and not a mutex because a waiting caller can give up.
	turn chan struct{}
	keys map[string]manifest.Key // by the requested name, and by the ARN that KMS returned
}

// NewKMS returns a KMS that signs with the key of an ARN, an id or an alias. It does not call KMS.
func NewKMS(client kmsAPI, keyID string) *KMS {
	return &KMS{client: client, keyID: keyID, turn: make(chan struct{}, 1), keys: map[string]manifest.Key{}}
}

// Current implements [Signer]. It calls KMS once, so only processes that start later notice an
// alias that is pointed at another key.
func (k *KMS) Current(ctx context.Context) (manifest.Key, error) {
	key, err := k.get(ctx, k.keyID)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("get the signing key: %w", err)
	}
	return key, nil
}

// errForeignKey means that the named KMS key has another id.
var errForeignKey = errors.New("not the key that the manifest names")

// Find implements [Signer]. An earlier key is found by its name as long as it exists; a ref without
// a name is found only if it is the current key.
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

// Sign implements [Signer] with one call. It checks the signature before returning it: a bad
// signature must not be found only years later.
func (k *KMS) Sign(ctx context.Context, ref manifest.KeyRef, digest []byte) ([]byte, error) {
	if len(digest) != sha256.Size {
		panic(fmt.Sprintf("custody: %d bytes are not a SHA-256 digest", len(digest)))
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
		return nil, fmt.Errorf("sign with KMS key %q: %w%s", key.Name, err, kmsAdvice(err))
	}
	if !ecdsa.VerifyASN1(key.Public, digest, out.Signature) {
		return nil, fmt.Errorf("sign with KMS key %q: KMS returned a signature that this key does not verify",
			key.Name)
	}
	return out.Signature, nil
}

// get returns the public key of a name. A failure is not cached: the next call asks again.
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
		return manifest.Key{}, fmt.Errorf("get the public key of KMS key %q: %w%s", name, err, kmsAdvice(err))
	}
	key, err := kmsKey(out)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("KMS key %q: %w", name, err)
	}
	k.keys[name], k.keys[key.Name] = key, key
	return key, nil
}

// kmsKey converts the answer of KMS to a key, if that can sign manifests.
func kmsKey(out *kms.GetPublicKeyOutput) (manifest.Key, error) {
	if out.KeySpec != types.KeySpecEccNistP256 || out.KeyUsage != types.KeyUsageTypeSignVerify {
		return manifest.Key{}, fmt.Errorf("its spec is %s and its usage %s, but manifests need a key of"+
			" spec %s and usage %s; create one, and set SIGNING_KEY_ID to it", out.KeySpec, out.KeyUsage,
			types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return manifest.Key{}, fmt.Errorf("its public key cannot be read: %w", err)
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return manifest.Key{}, fmt.Errorf("its public key is a %T, not an ECDSA key", parsed)
	}
	return manifest.NewKey(aws.ToString(out.KeyId), public)
}

// kmsAdvice advises on an error of KMS, if the cause is known.
func kmsAdvice(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return " (KMS did not answer in time: can this host reach it?)"
	}
	failure, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		return ""
	}
	switch failure.ErrorCode() {
	case "NotFoundException":
		return " (does SIGNING_KEY_ID name a key in this account and region?)"
	case "AccessDeniedException":
		return " (the role needs kms:GetPublicKey and kms:Sign on the key, and the key's policy must" +
			" delegate to IAM)"
	case "DisabledException":
		return " (the key is disabled: enable it, and pending manifests will be signed)"
	case "KMSInvalidStateException":
		return " (is its deletion pending? Cancel it and enable the key: until then no manifest that names it can" +
			" be signed)"
	case "UnsupportedOperationException", "InvalidKeyUsageException":
		return " (manifests need an asymmetric key of spec ECC_NIST_P256 for SIGN_VERIFY)"
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
