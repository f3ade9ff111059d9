package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every test named in SECURITY.md exists, in the package whose path precedes it.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile("`[a-z]+(?:/[a-z0-9-]+)+`|\\b(?:Test|Fuzz)[A-Z][A-Za-z0-9]*\\b")
	named := 0
	for line := range strings.Lines(string(text)) {
		folder := ""
		for _, word := range words.FindAllString(line, -1) {
			if path, ok := strings.CutPrefix(word, "`"); ok {
				folder = strings.TrimSuffix(path, "`")
				continue
			}
			named++
			if folder == "" || !slices.Contains(testsIn(t, folder), word) {
				t.Errorf("SECURITY.md names %s, which is not in %q", word, folder)
			}
		}
	}
	if named < 40 {
		t.Errorf("SECURITY.md names %d tests", named)
	}
}

// testsIn lists the tests of a package of this repository.
func testsIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(text), -1) {
			names = append(names, match[1])
		}
	}
	return names
}
