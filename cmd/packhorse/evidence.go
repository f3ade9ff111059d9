package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
	"packhorse/internal/ledger"
	"packhorse/internal/verify"
)

// evidenceOptions are the flags that say where the evidence is, and what it is held against.
type evidenceOptions struct {
	from       string   // empty: the data folder's archive; s3://…, or a folder
	pub        []string // files with public keys
	data       string
	dataGiven  bool   // --data stands on the command line
	ledger     string // a DynamoDB table; empty: the data folder's, if that is meant
	s3Endpoint string
	require    []string // checks that have to be made, or "all"
	required   []verify.Check
}

func (o *evidenceOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.from, "from", "",
		"`DIR|URL` of the archive: a copied folder, or s3://BUCKET (default: the data folder's)")
	flags.StringArrayVar(&o.pub, "pub", nil, "check signatures with the public keys in this `FILE` (PEM; can be given again)")
	flags.StringVar(&o.data, "data", dataDefault, "the data `DIR`, with archive, ledger and keys")
	flags.StringVar(&o.ledger, "ledger", "", "compare with this DynamoDB `TABLE`")
	flags.StringVar(&o.s3Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	flags.StringSliceVar(&o.require, "require", nil,
		"fail (exit 1) if one of these `CHECKS` was called for and could not be made: all, or a list such as version,lock")
}

// check finds what does not go together.
func (o *evidenceOptions) check(cmd *cobra.Command) error {
	o.dataGiven = cmd.Flags().Changed("data")
	if o.s3Endpoint != "" && !o.inS3() {
		return &usageError{command: cmd.CommandPath(), err: errors.New("--s3-endpoint goes with --from s3://…")}
	}
	if bucket, _ := o.bucket(); o.inS3() && bucket == "" {
		return &usageError{command: cmd.CommandPath(),
			err: fmt.Errorf("--from %q names no bucket: write s3://BUCKET", o.from)}
	}
	err := o.checkRequired()
	if err != nil {
		return &usageError{command: cmd.CommandPath(), err: err}
	}
	return nil
}

const s3Scheme = "s3://"

func (o *evidenceOptions) inS3() bool { return strings.HasPrefix(o.from, s3Scheme) }

// bucket takes s3://bucket/prefix apart. The prefix ends in a slash, or is empty.
func (o *evidenceOptions) bucket() (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(o.from, s3Scheme), "/")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return bucket, prefix
}

// evidence is an archive that is open, and what it is held against.
type evidence struct {
	archive verify.Archive
	trust   verify.Trust
	present string               // the id of the data folder's present key
	ledger  verify.TenantsLedger // nil: there is none
	// ledgerName is what people call the ledger.
	ledgerName string
	folder     string // absolute, of the archive; empty where it is in S3

	closers []func() error
}

func (e *evidence) close() error {
	var failures []error
	for i := len(e.closers) - 1; i >= 0; i-- {
		failures = append(failures, e.closers[i]())
	}
	e.closers = nil
	return errors.Join(failures...)
}

// open opens what the flags name. Nothing is made that is not there. The embedded S3 server comes
// last: it changes the working directory.
func (o *evidenceOptions) open(ctx context.Context) (_ *evidence, err error) {
	e := &evidence{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	data, err := filepath.Abs(o.data)
	if err != nil {
		return nil, fmt.Errorf("find the data folder: %w", err)
	}
	if len(o.pub) > 0 {
		e.trust, err = source.TrustFiles(o.pub)
	} else if o.from == "" || o.dataGiven {
		e.trust, e.present, err = source.TrustData(data)
	}
	if err != nil {
		return nil, err
	}
	err = o.openLedger(ctx, e, data)
	if err != nil {
		return nil, err
	}
	switch {
	case o.from == "":
		err = o.openData(ctx, e, data)
	case o.inS3():
		err = o.openBucket(ctx, e)
	default:
		err = o.openFolder(ctx, e)
	}
	if err != nil {
		return nil, err
	}
	if e.trust.Empty() && len(o.pub) == 0 {
		e.trust, _, err = verify.TrustArchive(ctx, e.archive) // verify.Verifier names what is wrong there
	}
	return e, err
}

func (o *evidenceOptions) openLedger(ctx context.Context, e *evidence, data string) error {
	if o.ledger != "" {
		table, err := openTable(ctx, o.ledger)
		if err != nil {
			return err
		}
		e.ledger, e.ledgerName = source.Ledger{TenantsLedger: table}, "DynamoDB table "+o.ledger
		return nil
	}
	path := filepath.Join(data, databaseFile)
	_, err := os.Stat(path)
	if o.from != "" && !o.dataGiven || err != nil {
		return nil // there is none, and the output says so
	}
	db, err := embedded.OpenDB(ctx, path)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, db.Close)
	e.ledger, e.ledgerName = embedded.NewLedger(db), filepath.Join(o.data, databaseFile)
	return nil
}

// openTable returns the ledger in a DynamoDB table of the user's account.
func openTable(ctx context.Context, table string) (*ledger.Ledger, error) {
	aws, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("load the AWS configuration: %w", err)
	}
	if aws.Region == "" {
		return nil, errNoTableRegion
	}
	return ledger.New(dynamodb.NewFromConfig(aws), table), nil
}

var errNoTableRegion = errors.New("no AWS region is configured: set AWS_REGION to the table's")

// noArchiveError says that a data folder has no archive.
type noArchiveError struct{ folder string }

func (e *noArchiveError) Error() string {
	return fmt.Sprintf("there is no archive in %s", e.folder)
}

// openData opens the archive of the data folder through the embedded server, which knows versions
// and locks.
func (o *evidenceOptions) openData(ctx context.Context, e *evidence, data string) error {
	e.folder = filepath.Join(data, s3Folder, embeddedBucket)
	info, err := os.Stat(e.folder)
	if err != nil || !info.IsDir() {
		return &noArchiveError{o.data}
	}
	server, err := embedded.StartS3(ctx, embedded.S3Config{
		Dir: filepath.Join(data, s3Folder),
	})
	if err != nil {
		return err
	}
	e.closers = append(e.closers, server.Close)
	e.archive = source.NewBucket(server.Client(), embeddedBucket,
		filepath.Join(o.data, s3Folder, embeddedBucket))
	return nil
}

func (o *evidenceOptions) openBucket(ctx context.Context, e *evidence) error {
	bucket, prefix := o.bucket()
	client, err := userS3(ctx, o.s3Endpoint)
	if err != nil {
		return err
	}
	e.archive = source.NewBucket(client, bucket, s3Scheme+bucket)
	if prefix == "" {
		return nil
	}
	root, err := verify.Root(ctx, e.archive, prefix)
	if err != nil {
		return fmt.Errorf("look into %s: %w", o.from, err)
	}
	e.archive = verify.Under(e.archive, root)
	return nil
}

func (o *evidenceOptions) openFolder(ctx context.Context, e *evidence) error {
	absolute, err := filepath.Abs(o.from)
	if err != nil {
		return fmt.Errorf("find %s: %w", o.from, err)
	}
	folder, err := source.OpenFolder(o.from)
	if err != nil {
		return err
	}
	e.closers = append(e.closers, folder.Close)
	root, err := verify.Root(ctx, folder, "")
	if err != nil {
		return fmt.Errorf("look into %s: %w", o.from, err)
	}
	e.archive = verify.Under(folder, root)
	e.folder = filepath.Join(absolute, filepath.FromSlash(root))
	return nil
}

// keyOf returns the key that a person means: a key, an s3:// URL, or the path of a file in the
// archive's folder. Paths are made absolute before anything changes the working directory.
func (e *evidence) keyOf(argument, absolute string) (string, error) {
	if rest, ok := strings.CutPrefix(argument, s3Scheme); ok {
		_, argument, _ = strings.Cut(rest, "/")
	}
	if e.folder != "" { // also a path looks like a key, whose prefix is the folder
		relative, err := filepath.Rel(e.folder, absolute)
		key := filepath.ToSlash(relative)
		if _, isKey := investigation.ParseKey(key); err == nil && isKey {
			return key, nil
		}
	}
	if _, isKey := investigation.ParseKey(argument); isKey {
		return argument, nil
	}
	return "", fmt.Errorf("%.200q is no key of an archive: those look like packages/TENANT/MACHINE/"+
		"TIME_ACTION.zip (packhorse list shows them)", argument)
}

// mismatchError is the first finding, as the error of the command.
type mismatchError struct{ finding error }

// Error is free of what a terminal would obey.
func (e *mismatchError) Error() string { return console.CleanLine(e.finding.Error()) }

func (e *mismatchError) Unwrap() error { return e.finding }

// tenantFlag reads a tenant's id.
func tenantFlag(cmd *cobra.Command, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	canonical, err := investigation.CanonicalID(id)
	if err != nil {
		return "", &usageError{command: cmd.CommandPath(), err: fmt.Errorf("--tenant: %w", err)}
	}
	return canonical, nil
}
