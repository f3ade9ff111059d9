package evidence

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"packhorse/cmd/packhorse/find"
	"packhorse/internal/investigation"
)

// NoSuchKeyError reports a text that is not the key of an archive, without a ledger that could tell what else
// it may name.
type NoSuchKeyError struct{ Text string }

func (e *NoSuchKeyError) Error() string {
	return fmt.Sprintf("%.200q is not an archive key, and without a ledger nothing else can be found: write "+
		"packages/TENANT/MACHINE/TIME_ACTION.zip or the path of a file in the archive, or name the ledger with "+
		"--ledger, --stack or --data", e.Text)
}

// NoObjectError reports an action that has nothing in the archive yet.
type NoObjectError struct{ Record investigation.Record }

func (e *NoObjectError) Error() string {
	return fmt.Sprintf("action %s has nothing in the archive yet: it is %s", e.Record.ActionID, e.Record.State)
}

// Advice says how to see why.
func (e *NoObjectError) Advice() string { return "packhorse show " + e.Record.ActionID + " shows why" }

// NoPackageError reports an action without a package in the archive.
type NoPackageError struct{ Record investigation.Record }

func (e *NoPackageError) Error() string {
	return fmt.Sprintf("action %s does not have a package: it is %s", e.Record.ActionID,
		cmp.Or(string(e.Record.Reason), string(e.Record.State)))
}

// Advice says how to see why.
func (e *NoPackageError) Advice() string { return "packhorse show " + e.Record.ActionID + " shows why" }

// OtherTenantError reports the key of another tenant's file than the one that was named.
type OtherTenantError struct{ Key, TenantID string }

func (e *OtherTenantError) Error() string {
	return fmt.Sprintf("%.200q is not a key of tenant %s", e.Key, e.TenantID)
}

// Advice says how to go on.
func (*OtherTenantError) Advice() string { return "name the tenant in the key, or leave out --tenant" }

// CheckTenant returns an [OtherTenantError] if a key is not the named tenant's. An empty id stands for every tenant.
func CheckTenant(key, tenantID string) error {
	parts, ok := investigation.ParseKey(key)
	if tenantID != "" && (!ok || parts.TenantID != tenantID) {
		return &OtherTenantError{key, tenantID}
	}
	return nil
}

// Key returns the archive key that the query's text names: a key, an s3:// URL, the path of a file in the
// archive's folder or, if there is a ledger, anything that [find.One] finds. Its errors are a
// [NoSuchKeyError], a [NoObjectError], an [OtherTenantError] and those of [find.One].
func (e *Evidence) Key(ctx context.Context, q find.Query) (string, error) {
	if key, ok := e.file(q.Text); ok {
		return key, CheckTenant(key, q.TenantID)
	}
	if e.ledger == nil {
		return "", &NoSuchKeyError{q.Text}
	}
	q.Where, q.Names = e.ledger.Name, e.ledger.Names
	rec, err := find.One(ctx, e.ledger, q)
	if err != nil {
		return "", err
	}
	key := cmp.Or(rec.Receipt.Key, rec.ManifestKey, rec.Quarantine.Key)
	if key == "" {
		return "", &NoObjectError{rec}
	}
	return key, nil
}

// file returns the key that a key, URL or path names.
func (e *Evidence) file(argument string) (string, bool) { return e.archive.file(argument, e.started) }

// file returns the key that a key, a URL or a path names; a relative path begins at the folder started.
func (a openArchive) file(argument, started string) (string, bool) {
	path := argument
	if !filepath.IsAbs(path) {
		path = filepath.Join(started, path)
	}
	if rest, ok := strings.CutPrefix(argument, Scheme); ok {
		_, argument, _ = strings.Cut(rest, "/")
	}
	if a.folder != "" { // first: a path also parses as a key, with the folder as its prefix
		relative, err := filepath.Rel(a.folder, path)
		key := filepath.ToSlash(relative)
		if _, isKey := investigation.ParseKey(key); err == nil && isKey {
			return key, true
		}
	}
	_, isKey := investigation.ParseKey(argument)
	return argument, isKey
}

// One returns the record that the query's text names; see [find.One].
func (l *Ledger) One(ctx context.Context, q find.Query) (investigation.Record, error) {
	q.Where, q.Names = l.Name, l.Names
	return find.One(ctx, l, q)
}
