package e2e_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fileLinesMax is the longest a file may be. Tests and generated files may be longer.
const fileLinesMax = 300

// Every package stands in one of the two tables of docs/architecture.md that say who may import whom.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	inside := section(t, "## Layers")
	named := map[string]bool{}
	for _, word := range regexp.MustCompile("`[a-zA-Z0-9/_-]+`").FindAllString(inside, -1) {
		named[strings.Trim(word, "`")] = true
	}
	packages := 0
	for folder := range goFolders(t) {
		packages++
		short := strings.TrimPrefix(strings.TrimPrefix(folder, "internal/"), "cmd/packhorse/")
		if folder == "tools" || named[folder] || named[short] {
			continue
		}
		t.Errorf("docs/architecture.md does not say in which layer %s is", folder)
	}
	if packages < 40 {
		t.Errorf("found %d packages", packages)
	}
}

// The walk of docs/architecture.md has at most 15 stops, visits none twice, and each is a function.
func TestArchitectureWalksThroughFunctions(t *testing.T) {
	stops := regexp.MustCompile("(?m)^[0-9]+\\. `([a-z]+)\\.([A-Za-z.]+)`").
		FindAllStringSubmatch(section(t, "## One walk"), -1)
	if len(stops) < 10 || len(stops) > 15 {
		t.Errorf("the walk has %d stops", len(stops))
	}
	seen := map[string]bool{}
	for _, stop := range stops {
		if seen[stop[0]] {
			t.Errorf("the walk visits %s.%s twice", stop[1], stop[2])
		}
		seen[stop[0]] = true
		if !slices.Contains(functionsIn(t, filepath.Join("../../internal", stop[1])), stop[2]) {
			t.Errorf("there is no function %s.%s", stop[1], stop[2])
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for folder, files := range goFolders(t) {
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join("../..", folder, file))
			if err != nil {
				t.Fatal(err)
			}
			if lines := bytes.Count(text, []byte("\n")); lines > fileLinesMax {
				t.Errorf("%s/%s has %d lines, more than %d: split it by thought", folder, file, lines, fileLinesMax)
			}
		}
	}
}

// goFolders returns the Go files of the repository, by folder.
func goFolders(t *testing.T) map[string][]string {
	t.Helper()
	folders := map[string][]string{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(entry.Name(), ".") && !strings.HasPrefix(entry.Name(), "..")
		if err == nil && entry.IsDir() && (hidden || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			folder, relErr := filepath.Rel("../..", filepath.Dir(path))
			if relErr != nil {
				return relErr
			}
			folder = filepath.ToSlash(folder)
			folders[folder] = append(folders[folder], entry.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return folders
}

// section returns the text of docs/architecture.md from a heading to the next one.
func section(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), heading+"\n")
	if !found {
		t.Fatalf("docs/architecture.md has no heading %q", heading)
	}
	inside, _, _ := strings.Cut(rest, "\n## ")
	return inside
}

// functionsIn lists a package's functions: Name, or Type.Name for a method.
func functionsIn(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declared := range parsed.Decls {
			if function, ok := declared.(*ast.FuncDecl); ok {
				names = append(names, receiver(function)+function.Name.Name)
			}
		}
	}
	return names
}

// receiver returns "Type." for a method, and nothing for a function.
func receiver(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return ""
	}
	of := function.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}
