// Package build says which source a program was built from.
package build

import (
	"cmp"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// Unknown stands for what the linker was not told.
const Unknown = "unknown"

// Facts describe a build. Empty fields are not known.
type Facts struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`
	CommitTime string `json:"commitTime"` // RFC 3339
	Dirty      bool   `json:"dirty"`      // built from files that differ from the commit
	Go         string `json:"go"`
	Platform   string `json:"platform"` // such as linux/amd64
	Module     string `json:"module"`   // path of the main module
}

// Linked is what the linker was told; each field may be [Unknown].
type Linked struct{ Version, Commit, CommitTime string }

// Of returns the facts of a build: linked is what the linker was told, and what that leaves [Unknown] comes from
// the information that the Go toolchain adds. info may be nil.
func Of(linked Linked, info *debug.BuildInfo) Facts {
	f := Facts{Version: known(linked.Version), Commit: known(linked.Commit), CommitTime: known(linked.CommitTime)}
	f.Dirty = strings.HasSuffix(f.Version, "-dirty")
	if info == nil {
		return orUnknown(f)
	}
	f.Go, f.Module = info.GoVersion, info.Main.Path
	of := map[string]string{}
	for _, s := range info.Settings {
		of[s.Key] = s.Value
	}
	f.Platform = of["GOOS"] + "/" + of["GOARCH"]
	revision := of["vcs.revision"]
	if f.Commit == "" {
		f.Commit = revision
	}
	if f.Version == "" && info.Main.Version != develop {
		f.Version = info.Main.Version
	}
	if f.Commit == revision { // otherwise the repository is another one, and its state says nothing
		f.CommitTime = cmp.Or(f.CommitTime, of["vcs.time"])
		f.Dirty = f.Dirty || of["vcs.modified"] == "true"
	}
	return orUnknown(f)
}

// develop is the toolchain's version of a program that it built without one.
const develop = "(devel)"

func known(text string) string {
	if text == Unknown {
		return ""
	}
	return text
}

func orUnknown(f Facts) Facts {
	for _, field := range []*string{&f.Version, &f.Commit} {
		if *field == "" {
			*field = Unknown
		}
	}
	return f
}

// Print writes the facts for people.
func (f Facts) Print(out io.Writer) error {
	commit := f.Commit
	if f.CommitTime != "" {
		commit += " of " + f.CommitTime
	}
	if f.Dirty {
		commit += ", with changes"
	}
	_, err := fmt.Fprintf(out, "packhorse %s\ncommit    %s\nbuilt     with %s for %s, module %s\n",
		f.Version, commit, f.Go, f.Platform, f.Module)
	return err
}
