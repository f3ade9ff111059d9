package entra

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// KMS is the part of *kms.Client that a KMSKey uses.
type KMS interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// KMSKey is a [Signer] whose private key never leaves KMS.
type KMSKey struct {
	client KMS
	id     string

	mu     sync.Mutex // guards public
	public crypto.PublicKey
}

// NewKMSKey returns the key with this id, ARN or alias.
func NewKMSKey(client KMS, id string) *KMSKey { return &KMSKey{client: client, id: id} }

// PublicKey implements [Signer]. It reads the key once: the private half of a KMS key never changes.
func (k *KMSKey) PublicKey(ctx context.Context) (crypto.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.public != nil {
		return k.public, nil
	}
	out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &k.id})
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("parse the public key of %s: %w", k.id, err)
	}
	k.public = public
	return public, nil
}

// Sign implements [Signer].
func (k *KMSKey) Sign(ctx context.Context, digest []byte) ([]byte, error) {
	return k.sign(ctx, digest, types.SigningAlgorithmSpecRsassaPssSha256)
}

func (k *KMSKey) sign(ctx context.Context, digest []byte, algorithm types.SigningAlgorithmSpec) ([]byte, error) {
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId: &k.id, Message: digest, MessageType: types.MessageTypeDigest, SigningAlgorithm: algorithm,
	})
	if err != nil {
		return nil, err
	}
	return out.Signature, nil
}
