// Package stssim simulates the part of AWS STS that a federated identity involves: assuming a role, and
// vouching for it with a signed token. Entra ID verifies the token with the issuer's keys, which
// [Issuer.Keys] returns as AWS publishes them.
package stssim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

const (
	keyBits = 2048
	keyID   = "simulated-1"
)

// Issuer signs tokens for one AWS account.
type Issuer struct {
	URL     string // such as https://0123….tokens.sts.global.api.aws
	Account string // twelve digits

	key *rsa.PrivateKey
}

// NewIssuer returns the issuer of an account, with a new key.
func NewIssuer(account string) (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, fmt.Errorf("make the issuer's key: %w", err)
	}
	return &Issuer{URL: "https://" + account + ".tokens.sts.global.api.aws", Account: account, key: key}, nil
}

// Keys returns the JSON Web Key Set of the issuer with this URL.
func (i *Issuer) Keys(url string) ([]byte, error) {
	if url != i.URL {
		return nil, fmt.Errorf("unknown issuer %.100q", url)
	}
	return json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": keyID,
		"n": base64.RawURLEncoding.EncodeToString(i.key.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
}

// Claims are what a token says.
type Claims struct {
	Issuer, Subject, Audience string
	IssuedAt, ExpiresAt       time.Time
}

// Sign returns a token for the claims, with a fresh jti.
func (i *Issuer) Sign(c Claims) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": keyID})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": c.Issuer, "sub": c.Subject, "aud": c.Audience, "jti": rand.Text(),
		"iat": c.IssuedAt.Unix(), "exp": c.ExpiresAt.Unix(),
		"https://sts.amazonaws.com/": map[string]any{"aws_account": i.Account, "source_region": "us-east-1"},
	})
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
