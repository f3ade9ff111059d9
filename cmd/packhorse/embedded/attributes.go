package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
)

// bucketAttribute is one that the server gives to every bucket it makes.
const bucketAttribute = "acl"

// LostAttributes reports whether a bucket's folder lacks the attributes that the server keeps beside
// the bytes: versions, locks, and whose the bucket is. Copying a folder without its extended attributes
// leaves one like that, and the server can write nothing into it. A folder that is not there has lost
// nothing.
func LostAttributes(dir, bucket string) (bool, error) {
	path := filepath.Join(dir, bucket)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the folder of the archive: %w", err)
	}
	store, at := meta.MetadataStorer(meta.XattrMeta{}), path
	if (meta.XattrMeta{}).Test(dir) != nil {
		beside := besideOf(dir, metadataBeside)
		if _, err := os.Stat(beside); errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		store, err = meta.NewSideCar(beside)
		if err != nil {
			return false, fmt.Errorf("open the folder of the metadata: %w", err)
		}
		at = bucket
	}
	_, err = store.RetrieveAttribute(nil, at, "", bucketAttribute)
	if errors.Is(err, meta.ErrNoSuchKey) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the attributes of %s: %w", path, err)
	}
	return false, nil
}
