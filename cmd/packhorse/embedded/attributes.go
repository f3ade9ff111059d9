package embedded

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend/meta"
)

// bucketAttribute is an attribute that the server gives to every bucket it creates.
const bucketAttribute = "acl"

// LostAttributes reports whether a bucket's folder lacks the attributes that the server keeps
// beside the bytes: versions, locks, and the bucket's owner. Copying a folder without its extended
// attributes causes this, and the server cannot write to such a copy. For a missing folder it
// returns false.
func LostAttributes(dir, bucket string) (bool, error) {
	path := filepath.Join(dir, bucket)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("check the archive's folder: %w", err)
	}
	store, at := meta.MetadataStorer(meta.XattrMeta{}), path
	if (meta.XattrMeta{}).Test(dir) != nil {
		beside := besideOf(dir, metadataBeside)
		if _, err := os.Stat(beside); errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		store, err = meta.NewSideCar(beside)
		if err != nil {
			return false, fmt.Errorf("open the metadata folder: %w", err)
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
