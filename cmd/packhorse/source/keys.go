package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"packhorse/internal/custody"
	"packhorse/internal/manifest"
	"packhorse/internal/verify"
)

// keyFileMax is many times the size of a file with keys, in bytes.
const keyFileMax = 64 << 10

var errTooLarge = errors.New("it is too large")

// TrustFiles reads public keys from PEM files, each with one or more keys.
func TrustFiles(paths []string) (verify.Trust, error) {
	var t verify.Trust
	for _, path := range paths {
		text, err := readFile(path)
		if err != nil {
			return verify.Trust{}, fmt.Errorf("read the public key: %w", err)
		}
		keys, err := manifest.ParseKeys(text)
		if err != nil {
			return verify.Trust{}, fmt.Errorf("read the public key %s: %w (packhorse public-key prints one)",
				path, err)
		}
		for _, key := range keys {
			t.Add(key, path)
		}
	}
	return t, nil
}

// TrustData reads the keys of a data folder: signing-key*.pub.pem, and the public halves of the
// private keys signing-key*.pem. It does not make any. present is the id of the current signing
// key, or empty.
func TrustData(dir string) (_ verify.Trust, present string, err error) {
	files, err := custody.LocalKeyFiles(dir)
	if err != nil {
		return verify.Trust{}, "", err
	}
	var t verify.Trust
	for _, file := range files {
		keys, err := keysOf(file)
		if err != nil {
			return verify.Trust{}, "", fmt.Errorf("read the signing key %s: %w", file, err)
		}
		for _, key := range keys {
			t.Add(key, file)
		}
		if filepath.Base(file) == custody.LocalKeyFile {
			present = keys[0].ID
		}
	}
	return t, present, nil
}

// keysOf reads the public keys of a file that has public keys or one private key.
func keysOf(file string) ([]manifest.Key, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, err
	}
	return custody.ParseLocalKeys(filepath.Base(file), text)
}

// readFile reads a file that should be small.
func readFile(path string) (_ []byte, err error) {
	file, err := os.Open(path) //nolint:gosec // the user chooses the file
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err := io.ReadAll(io.LimitReader(file, keyFileMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > keyFileMax {
		return nil, fmt.Errorf("%s: %w for a key", path, errTooLarge)
	}
	return text, nil
}
