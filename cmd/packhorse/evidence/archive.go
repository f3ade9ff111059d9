package evidence

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/verify"
)

// openArchive is an open archive.
type openArchive struct {
	verify.Archive

	ranges ranger // parts of the objects whose keys begin with root
	root   string // what stands before the archive's keys there

	folder string       // absolute; empty if the archive is in S3
	close  func() error // nil if there is nothing to close
}

func (a openArchive) shut() error {
	if a.close == nil {
		return nil
	}
	return a.close()
}

// NoArchiveError reports that a data folder does not contain an archive.
type NoArchiveError struct{ Data string }

func (e *NoArchiveError) Error() string { return fmt.Sprintf("no archive found in %s", e.Data) }

// Advice says how to name an archive.
func (e *NoArchiveError) Advice() string {
	return "pass the data directory with --data (simulations use " + datafolder.DefaultSimulation +
		"), a copied archive with --from DIR, or a bucket with --from s3://NAME"
}

func (o Options) openArchive(ctx context.Context) (openArchive, error) {
	switch {
	case o.From == "":
		return openData(ctx, o.Data)
	case o.InS3():
		return o.openBucket(ctx)
	default:
		return openFolder(ctx, o.From)
	}
}

// openData opens the archive of the data folder through the embedded server, which provides versions and
// locks.
func openData(ctx context.Context, data string) (openArchive, error) {
	served := filepath.Join(data, datafolder.S3)
	shown := filepath.Join(served, datafolder.Bucket)
	folder, err := filepath.Abs(shown)
	if err != nil {
		return openArchive{}, fmt.Errorf("resolve the data folder: %w", err)
	}
	info, err := os.Stat(folder)
	if err != nil || !info.IsDir() {
		return openArchive{}, &NoArchiveError{data}
	}
	server, err := embedded.StartS3(ctx, embedded.S3Config{Dir: served})
	if err != nil {
		return openArchive{}, err
	}
	bucket := source.NewBucket(server.Client(), datafolder.Bucket, shown)
	return openArchive{Archive: bucket, ranges: bucket, folder: folder, close: server.Close}, nil
}

func (o Options) openBucket(ctx context.Context) (openArchive, error) {
	bucket, prefix := o.Bucket()
	client, err := S3(ctx, o.Endpoint)
	if err != nil {
		return openArchive{}, err
	}
	archive := source.NewBucket(client, bucket, Scheme+bucket)
	root := ""
	if prefix != "" {
		root, err = verify.Root(ctx, archive, prefix)
		if err != nil {
			return openArchive{}, fmt.Errorf("search %s for an archive: %w", o.From, err)
		}
	}
	return openArchive{Archive: verify.Under(archive, root), ranges: archive, root: root}, nil
}

func openFolder(ctx context.Context, path string) (openArchive, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return openArchive{}, fmt.Errorf("resolve %s: %w", path, err)
	}
	folder, err := source.OpenFolder(path)
	if err != nil {
		return openArchive{}, err
	}
	root, err := verify.Root(ctx, folder, "")
	if err != nil {
		_ = folder.Close() // read only: a failed close loses nothing
		return openArchive{}, fmt.Errorf("search %s for an archive: %w", path, err)
	}
	return openArchive{
		Archive: verify.Under(folder, root),
		ranges:  folder,
		root:    root,
		folder:  filepath.Join(absolute, filepath.FromSlash(root)),
		close:   folder.Close,
	}, nil
}
