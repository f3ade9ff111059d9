package entra

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// File is a [Store] in a file with this path. It is read each time, so a replaced file takes effect with the
// next token.
type File string

// Read implements [Store].
func (f File) Read(context.Context, bool) (string, error) {
	text, err := os.ReadFile(string(f)) //nolint:gosec // the user chooses the file
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", &Error{Message: fmt.Sprintf("the file %s does not exist", string(f)), Advice: "check its path", cause: err}
	case errors.Is(err, fs.ErrPermission):
		return "", &Error{
			Message: fmt.Sprintf("the file %s cannot be read", string(f)),
			Advice:  "make this user its owner, with mode 0600", cause: err,
		}
	case err != nil:
		return "", fmt.Errorf("read the file %s: %w", string(f), err)
	}
	return string(text), nil
}

// Previous implements [Store]. A file has no earlier version.
func (File) Previous(context.Context) (string, error) { return "", nil }
