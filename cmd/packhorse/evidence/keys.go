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

// NoKeyError reports that a data folder or an archive does not contain a signing key.
type NoKeyError struct{ Where string }

func (e *NoKeyError) Error() string { return fmt.Sprintf("no signing key found in %s", e.Where) }

// Advice says where to find keys.
func (e *NoKeyError) Advice() string {
	return "packhorse run creates the key: pass its data directory with --data, or an archive with --from"
}

// mismatchError is a finding about a published key.
type mismatchError struct{ finding error }

// Error returns the finding without control characters.
func (e *mismatchError) Error() string { return console.CleanLine(e.finding.Error()) }

func (e *mismatchError) Unwrap() error { return e.finding }

// PublicKeys reads the keys of the data folder or, if From is set, those published in that archive. present
// is the id of the current signing key, or empty if unknown.
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

// trustData reads the keys of the data folder. It makes the path absolute because findings show it.
func trustData(data string) (keys verify.Trust, present string, err error) {
	data, err = filepath.Abs(data)
	if err != nil {
		return verify.Trust{}, "", fmt.Errorf("resolve the data folder: %w", err)
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
