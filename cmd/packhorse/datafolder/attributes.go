package datafolder

import (
	"fmt"
	"path/filepath"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/embedded"
)

// LostAttributesError reports that a data folder was copied without its extended attributes.
type LostAttributesError struct{ data string }

func (e *LostAttributesError) Error() string {
	return fmt.Sprintf("attributes lost in copying: the archive in %s lost its versions and locks, which are stored in "+
		"extended attributes of its files. Packhorse does not write to such a copy and left it unchanged", e.data)
}

// Advice says how to restore the folder.
func (e *LostAttributesError) Advice() string {
	data := console.ShellQuote(e.data)
	return "move this folder away and copy the original again, with its attributes: cp -a ORIGINAL " + data +
		", or rsync -aX, or tar with --xattrs on both sides. The copy is still readable: packhorse verify --data " +
		data + " checks everything except versions and locks"
}

// CheckAttributes returns a [LostAttributesError] if the archive of a data folder lacks its extended
// attributes. Call it before writing anything there.
func CheckAttributes(data string) error {
	lost, err := embedded.LostAttributes(filepath.Join(data, S3), Bucket)
	if err != nil {
		return err
	}
	if lost {
		return &LostAttributesError{data}
	}
	return nil
}
