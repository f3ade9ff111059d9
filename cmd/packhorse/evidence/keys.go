package evidence

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
)

// NoKeyError says that there is no signing key where one was looked for.
type NoKeyError struct{ Where string }

func (e *NoKeyError) Error() string { return fmt.Sprintf("there is no signing key in %s", e.Where) }

// Advice says where keys are.
func (e *NoKeyError) Advice() string {
	return "packhorse run makes the key; name its data folder with --data, or an archive with --from"
}

// mismatchError is what verification found wrong with a published key.
type mismatchError struct{ finding error }

// Error is free of what a terminal would obey.
func (e *mismatchError) Error() string { return console.CleanLine(e.finding.Error()) }

func (e *mismatchError) Unwrap() error { return e.finding }

// PublicKeys reads the keys of the data folder or, if From names one, those published in an archive.
// present is the id of the key that signs now; empty if that is not known.
func PublicKeys(ctx context.Context, o Options) (keys verify.Trust, present string, err error) {
	if o.From != "" {
		keys, err = o.publishedKeys(ctx)
		return keys, "", err
	}
	keys, present, err = trustData(o.Data)
	if err == nil && keys.Empty() {
		err = &NoKeyError{o.Data}
	}
	return keys, present, err
}

// trustData reads the keys of the data folder. It resolves the path: findings name the keys' files.
func trustData(data string) (keys verify.Trust, present string, err error) {
	data, err = filepath.Abs(data)
	if err != nil {
		return verify.Trust{}, "", fmt.Errorf("find the data folder: %w", err)
	}
	return source.TrustData(data)
}

func (o Options) publishedKeys(ctx context.Context) (_ verify.Trust, err error) {
	archive, err := o.openArchive(ctx)
	if err != nil {
		return verify.Trust{}, err
	}
	defer func() { err = errors.Join(err, archive.shut()) }()
	keys, findings, err := verify.TrustArchive(ctx, archive)
	findings = slices.DeleteFunc(findings, func(f verify.Finding) bool { return f.Kind == verify.KindStranger })
	switch {
	case err != nil:
		return verify.Trust{}, err
	case len(findings) > 0:
		return verify.Trust{}, &mismatchError{findings[0]}
	case keys.Empty():
		return verify.Trust{}, &NoKeyError{o.From}
	}
	return keys, nil
}
