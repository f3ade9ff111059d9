// Package contents shows what is in a package, from the directory of its ZIP, and finds one of its files by
// name. Names are hostile text: an attacker may control the machine that chose them.
package contents

import (
	"fmt"
	"path"
	"strings"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/zipinspect"
)

// Find returns the index of the file that a name means: its whole name, its number ("#3", from 1), the end of
// its path ("autoruns.csv"), or a pattern ("*.evtx"); the first of these that matches any. Case matters only
// if it makes a difference. It returns an [*AmbiguousError] or a [*NotFoundError].
func Find(members []zipinspect.Member, name string) (int, error) {
	if name == "" {
		return 0, notFound(members, name)
	}
	var number int
	_, err := fmt.Sscanf(name, "#%d", &number)
	if err == nil && name == fmt.Sprintf("#%d", number) && number >= 1 && number <= len(members) {
		return number - 1, nil
	}
	wanted := strings.ToLower(slashes(name))
	for _, matches := range []func(string) bool{
		func(member string) bool { return member == name },
		func(member string) bool { return strings.ToLower(slashes(member)) == wanted },
		func(member string) bool { return strings.HasSuffix(strings.ToLower(slashes(member)), "/"+wanted) },
		func(member string) bool { return !isFolder(member) && glob(wanted, strings.ToLower(slashes(member))) },
	} {
		var found []int
		for i, m := range members {
			if matches(m.Name) {
				found = append(found, i)
			}
		}
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			return 0, ambiguous(members, found, name)
		}
	}
	return 0, notFound(members, name)
}

// glob matches a pattern with the whole path or with its last part.
func glob(pattern, member string) bool {
	whole, _ := path.Match(pattern, member) // a malformed pattern matches nothing
	last, _ := path.Match(pattern, path.Base(member))
	return whole || last
}

// slashes replaces the separators of careless Windows programs.
func slashes(name string) string { return strings.ReplaceAll(name, `\`, "/") }

func isFolder(name string) bool { return strings.HasSuffix(slashes(name), "/") }

// candidatesMax is how many files an error lists.
const candidatesMax = 10

// AmbiguousError reports that a name means several files.
type AmbiguousError struct {
	Name       string
	Candidates []string // at most ten, clean, each with its number
	More       int
}

func ambiguous(members []zipinspect.Member, found []int, name string) error {
	shown := found[:min(candidatesMax, len(found))]
	e := &AmbiguousError{Name: name, More: len(found) - len(shown)}
	for _, i := range shown {
		e.Candidates = append(e.Candidates, fmt.Sprintf("#%d  %s", i+1, console.CleanLine(members[i].Name)))
	}
	return e
}

// Error lists the files, one a line. It is safe for a terminal.
func (e *AmbiguousError) Error() string {
	text := fmt.Sprintf("%q names %d files of the package:\n  %s", console.Clean(e.Name), len(e.Candidates)+e.More,
		strings.Join(e.Candidates, "\n  "))
	if e.More > 0 {
		text += fmt.Sprintf("\n  and %d more", e.More)
	}
	return text
}

// Advice says how to name one of them.
func (e *AmbiguousError) Advice() string {
	number, _, _ := strings.Cut(e.Candidates[0], " ")
	return "pass more of the path, or the number of the file, such as " + console.ShellQuote(number)
}

// NotFoundError reports that a package has no file of that name.
type NotFoundError struct {
	Name  string
	Files int // in the package
}

func notFound(members []zipinspect.Member, name string) error {
	return &NotFoundError{name, len(members)}
}

// Error is safe for a terminal.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("none of the %d files of the package has the name %q", e.Files, console.Clean(e.Name))
}

// Advice says how to see the names.
func (*NotFoundError) Advice() string {
	return "packhorse show without the name of a file lists them; a pattern such as '*.csv' works too"
}
