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

// openPosix opens the folder. Metadata goes into extended attributes, which a complete file has
// before it gets its name; where the file system has none, into a folder beside. An object that was
// deleted or replaced goes, as an earlier version, into another. What is stored lies under its own
// name as long as it is neither.
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
			return nil, fmt.Errorf("open the folder of the metadata: %w", err)
		}
	}
	backend, err := posix.New(dir, metadata, options)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the archive: %w", err)
	}
	return backend, nil
}

// What the names of the folders beside that of the archive begin with.
const (
	versionsBeside = "versions-of-"
	metadataBeside = "metadata-of-"
)

// besideOf names a folder beside dir. Its path must not begin with that of dir, which the server would
// take for a folder inside it: so the name is put before and not behind.
func besideOf(dir, prefix string) string {
	return filepath.Join(filepath.Dir(dir), prefix+filepath.Base(dir))
}

// makeBeside makes a folder beside dir.
func makeBeside(dir, prefix string) (string, error) {
	beside := besideOf(dir, prefix)
	err := os.MkdirAll(beside, 0o700)
	if err != nil {
		return "", fmt.Errorf("make a folder beside that of the archive: %w", err)
	}
	return beside, nil
}
