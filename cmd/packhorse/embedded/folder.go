package embedded

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
)

// copyMax is S3's own limit for one copy, in bytes.
const copyMax = 5 << 30

// openPosix opens the folder. Metadata is stored in extended attributes, which a file has before it
// gets its name; if the file system lacks them, in a folder beside. Deleted and replaced objects
// move, as earlier versions, to another folder. All other objects are files under their own names.
func openPosix(dir string, noXattrs bool) (*posix.Posix, error) {
	options := posix.PosixOpts{CopyObjectThreshold: copyMax}
	options.SetNewDirPerm(0o700)
	options.SetNewFilePerm(0o600)
	var err error
	options.VersioningDir, err = makeBeside(dir, versionsBeside)
	if err != nil {
		return nil, err
	}
	metadata := meta.MetadataStorer(meta.XattrMeta{})
	if noXattrs || (meta.XattrMeta{}).Test(dir) != nil {
		options.SideCarDir, err = makeBeside(dir, metadataBeside)
		if err != nil {
			return nil, err
		}
		metadata, err = meta.NewSideCar(options.SideCarDir)
		if err != nil {
			return nil, fmt.Errorf("open the metadata folder: %w", err)
		}
	}
	backend, err := posix.New(dir, metadata, options)
	if err != nil {
		return nil, fmt.Errorf("open the archive's folder: %w", err)
	}
	return backend, nil
}

// Prefixes of the folders beside that of the archive.
const (
	versionsBeside = "versions-of-"
	metadataBeside = "metadata-of-"
)

// besideOf names a folder beside dir. The server treats every path that begins with dir's as a
// folder inside it, so the name is a prefix and not a suffix.
func besideOf(dir, prefix string) string {
	return filepath.Join(filepath.Dir(dir), prefix+filepath.Base(dir))
}

// makeBeside makes a folder beside dir.
func makeBeside(dir, prefix string) (string, error) {
	beside := besideOf(dir, prefix)
	err := os.MkdirAll(beside, 0o700)
	if err != nil {
		return "", fmt.Errorf("make a folder beside the archive's: %w", err)
	}
	return beside, nil
}
