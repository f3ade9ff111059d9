package custody

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"packhorse/internal/manifest"
)

const (
	// LocalKeyFile has the present private key, localPublicFile its public key. Other files that
	// match localKeyForm have earlier keys, which still sign the manifests that name them.
	LocalKeyFile    = "signing-key.pem"
	localKeyForm    = "signing-key*.pem"
	localPublicFile = "signing-key.pub.pem"
	localPublicForm = "signing-key*.pub.pem"

	pemPrivate = "PRIVATE KEY" // PKCS #8

	localKeyMode    = 0o600
	localOthers     = 0o077 // the permissions of everybody but the owner
	localPublicMode = 0o644
)

// Local signs with keys in files. It is meant for one machine: anybody who can read the files can
// sign.
type Local struct {
	current manifest.KeyRef
	keys    map[string]localKey // by id
}

type localKey struct {
	manifest.Key
	private *ecdsa.PrivateKey
}

// OpenLocal opens the keys of a folder, and makes one if there is none. Concurrent processes end up
// with the same key. To change keys, rename signing-key.pem to, say, signing-key-2026.pem: the next
// OpenLocal makes a new one.
func OpenLocal(dir string) (*Local, error) {
	path := filepath.Join(dir, LocalKeyFile)
	err := makeLocalKey(path)
	if err != nil {
		return nil, fmt.Errorf("make the signing key %s: %w", path, err)
	}
	all, err := privateFiles(dir)
	if err != nil {
		return nil, err
	}
	l := &Local{keys: map[string]localKey{}}
	for _, file := range all {
		key, err := readLocalKey(file)
		if err != nil {
			return nil, fmt.Errorf("read the signing key %s (move it away to have a new one made): %w",
				file, err)
		}
		l.keys[key.ID] = key
		if file == path {
			l.current = key.KeyRef
		}
	}
	public, err := l.keys[l.current.ID].PEM()
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(filepath.Join(dir, localPublicFile), public, localPublicMode)
	if err != nil {
		return nil, fmt.Errorf("write the public key: %w", err)
	}
	return l, nil
}

// CheckLocal refuses a folder with a private key that other users can read, since they could sign.
// A folder without keys passes.
func CheckLocal(dir string) error {
	_, err := privateFiles(dir)
	return err
}

// privateFiles returns the files of a folder that have private keys, or an error if other users can
// read one.
func privateFiles(dir string) (private []string, err error) {
	all, err := LocalKeyFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, file := range all {
		if isPublic, _ := filepath.Match(localPublicForm, filepath.Base(file)); isPublic {
			continue
		}
		info, err := os.Stat(file)
		if err != nil {
			return nil, fmt.Errorf("check the signing key %s: %w", file, err)
		}
		if mode := info.Mode().Perm(); mode&localOthers != 0 {
			return nil, fmt.Errorf("the signing key %s is open to other users (mode %04o), who could sign: "+
				"chmod 600 %q, and if somebody may have read it, change keys (rename this file)", file, mode, file)
		}
		private = append(private, file)
	}
	return private, nil
}

// LocalKeyFiles returns the paths of the files in a folder that have local keys, private and
// public, in order. A missing folder has none. The folder's own name, which may have any character,
// is never used as a pattern.
func LocalKeyFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for signing keys in %s: %w", dir, err)
	}
	var files []string
	for _, entry := range entries {
		if isKey, _ := filepath.Match(localKeyForm, entry.Name()); isKey {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, nil
}

// makeLocalKey makes a key unless one exists. The file appears under its name complete.
func makeLocalKey(path string) (err error) {
	_, err = os.Stat(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	draft := path + "." + rand.Text()
	err = os.WriteFile(draft, pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), localKeyMode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(draft)) }()
	err = os.Link(draft, path)
	if errors.Is(err, fs.ErrExist) {
		return nil // another process was faster
	}
	return err
}

func readLocalKey(file string) (localKey, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the user chooses the folder
	if err != nil {
		return localKey{}, err
	}
	return parsePrivate(filepath.Base(file), text)
}

// ParseLocalKeys reads a file of [LocalKeyFiles]: one or more public keys, or the public half of a
// private key, which gets the name.
func ParseLocalKeys(name string, text []byte) ([]manifest.Key, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemPrivate {
		return manifest.ParseKeys(text)
	}
	key, err := parsePrivate(name, text)
	return []manifest.Key{key.Key}, err
}

func parsePrivate(name string, text []byte) (localKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemPrivate {
		return localKey{}, manifest.ErrBadKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return localKey{}, fmt.Errorf("%w: %w", manifest.ErrBadKey, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return localKey{}, manifest.ErrBadKey
	}
	key, err := manifest.NewKey(name, &private.PublicKey)
	return localKey{Key: key, private: private}, err
}

// Current implements Signer.
func (l *Local) Current(ctx context.Context) (manifest.Key, error) { return l.Find(ctx, l.current) }

// Find implements Signer. It finds keys by id, since a file may have been renamed.
func (l *Local) Find(_ context.Context, ref manifest.KeyRef) (manifest.Key, error) {
	key, ok := l.keys[ref.ID]
	if !ok {
		return manifest.Key{}, fmt.Errorf("signing key %s is missing: put its file back beside %s", ref.ID,
			LocalKeyFile)
	}
	return key.Key, nil
}

// Sign implements Signer. Equal digests have equal signatures (RFC 6979).
func (l *Local) Sign(ctx context.Context, ref manifest.KeyRef, digest []byte) ([]byte, error) {
	_, err := l.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return l.keys[ref.ID].private.Sign(nil, digest, crypto.SHA256)
}
