package main

import (
	"fmt"
	"path/filepath"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
)

// lostAttributesError says that a data folder was copied without its extended attributes.
type lostAttributesError struct{ data string }

func (e *lostAttributesError) Error() string {
	return fmt.Sprintf("attributes lost in copying: the archive in %s has neither versions nor locks any more. "+
		"They are in extended attributes of its files, and a copy without these cannot be written to. "+
		"Nothing was written into it", e.data)
}

// mend says how the folder becomes whole again.
func (e *lostAttributesError) mend() string {
	data := console.ShellQuote(e.data)
	return "move this folder away and copy the original again, with its attributes: cp -a ORIGINAL " + data +
		", or rsync -aX, or tar with --xattrs on both sides. The copy can still be read: packhorse verify --data " +
		data + " checks all but versions and locks"
}

// checkAttributes makes sure that the archive of a data folder has its attributes, before anything is
// written there.
func checkAttributes(data string) error {
	lost, err := embedded.LostAttributes(filepath.Join(data, s3Folder), embeddedBucket)
	if err != nil {
		return err
	}
	if lost {
		return &lostAttributesError{data}
	}
	return nil
}
