package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
)

// TestCaptures: every command has a capture at both widths, of itself or of its help, whose command line
// exists. No line is wider than the terminal.
func TestCaptures(t *testing.T) {
	t.Parallel()
	for width, suffix := range map[int]string{80: "-80.txt", 120: "-120.txt"} {
		paths, err := filepath.Glob(root + "/docs/captures/*" + suffix)
		if err != nil {
			t.Fatal(err)
		}
		shown := map[string]bool{}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(text)) {
				if n := runewidth.StringWidth(strings.TrimRight(line, "\n")); n > width || strings.Contains(line, "\x1b") {
					t.Errorf("%s: a line has %d columns, or an escape code: %q", path, n, line)
				}
			}
			shown[capturedCommand(t, path, string(text))] = true
		}
		for _, name := range commandNames((Main{}).command()) {
			if !shown[name] {
				t.Errorf("%s has no file that ends in %s: add the command to captures/list.go and run make captures", name, suffix)
			}
		}
	}
}

// capturedCommand returns the name of the command that a capture shows. For help it is the command explained.
func capturedCommand(t *testing.T, path, text string) string {
	t.Helper()
	first, _, _ := strings.Cut(text, "\n")
	if strings.HasPrefix(filepath.Base(path), "status-watch-") {
		return "" // it clears the screen, and the prompt with it
	}
	line, ok := strings.CutPrefix(first, "$ packhorse")
	if !ok {
		t.Errorf("%s begins with %q", path, first)
		return ""
	}
	words := strings.Fields(line)
	if len(words) > 1 && words[0] == "help" {
		words = words[1:]
	}
	if len(words) > 0 && words[0] == cobra.ShellCompRequestCmd {
		words = []string{"completion"}
	}
	root := Main{}.command()
	root.InitDefaultCompletionCmd("x")
	command, _, err := root.Find(words)
	if err != nil {
		return "" // a mistyped one, which is shown
	}
	return command.CommandPath()
}

// commandNames lists every command that a person can find, except for the help of each and the shells of completion.
func commandNames(cmd *cobra.Command) (names []string) {
	if cmd.Parent() == nil {
		cmd.InitDefaultCompletionCmd("x")
	}
	for _, sub := range cmd.Commands() {
		if sub.Hidden || sub.Name() == "help" {
			continue
		}
		if len(sub.Commands()) == 0 || sub.Name() == "completion" {
			names = append(names, sub.CommandPath())
		}
		if sub.Name() != "completion" {
			names = append(names, commandNames(sub)...)
		}
	}
	return slices.Compact(names)
}

// TestReadmePictures: whatever the README shows as the output of a command is a capture.
func TestReadmePictures(t *testing.T) {
	t.Parallel()
	readme := readPage(t, "README.md")
	captures := map[string]bool{}
	paths, err := filepath.Glob(root + "/docs/captures/*-80.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		captures[string(text)] = true
	}
	pictures := 0
	for i, block := range strings.Split(readme, "```") {
		if body := strings.TrimPrefix(block, "\n"); i%2 == 1 && strings.HasPrefix(body, "$ ") {
			pictures++
			if !captures[body] {
				t.Errorf("this is not a capture: copy it from docs/captures again\n%s", body)
			}
		}
	}
	if pictures == 0 {
		t.Error("the README shows no command's output")
	}
}

// TestReadmeDemo runs the simulation that the README offers, line by line, in one folder. Only the number of
// packages and their size are smaller, because the budget of the third one frees after a minute.
func TestReadmeDemo(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readPage(t, "README.md"), "```sh\n")
	demo, _, _ := strings.Cut(rest, "```")
	home, ran := t.TempDir(), 0
	for line := range strings.Lines(demo) {
		typed, ok := strings.CutPrefix(strings.TrimSpace(line), "./bin/packhorse ")
		if !ok {
			continue
		}
		args := strings.Fields(strings.Replace(typed, "--simulate 4", "--simulate 2 --package-size 1KiB", 1))
		ctx, cancel := context.WithTimeout(t.Context(), childTimeout)
		cmd := command(ctx, t, nil, args...)
		cmd.Dir = home
		text, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("%s: %v: %s", typed, err, text)
		}
		ran++
	}
	if ran < 4 {
		t.Errorf("ran %d lines of %q", ran, demo)
	}
}

// readPage returns a page of the repository.
func readPage(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
