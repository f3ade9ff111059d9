package manifest_test

import (
	"bytes"
	"testing"

	"packhorse/internal/manifest"
)

func TestParseKeys(t *testing.T) {
	t.Parallel()
	key := testKey(t)
	pem, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := manifest.ParseKeys(append(bytes.Clone(pem), pem...))
	if err != nil || len(keys) != 2 || keys[1].ID != key.ID {
		t.Errorf("got %v, %v", keys, err)
	}
	const rsa = "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu\nKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==\n-----END PUBLIC KEY-----\n"
	for name, text := range map[string]string{"nothing": "", "RSA": rsa,
		"a private key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if keys, err := manifest.ParseKeys([]byte(text)); err == nil {
			t.Errorf("%s: got %v", name, keys)
		}
	}
}
