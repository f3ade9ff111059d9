package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manCommand writes what packagers install. Users have no need of it, so it is hidden.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write man pages and shell completions to a directory",
		Hidden: true,
		Long: `Man writes a man page for every command to DIR/man1, and completions for bash, zsh and fish to
DIR/completions. Their date is that of the commit, so the same source gives the same files.`,
		Example: `  packhorse man dist`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return writeManuals(cmd.Root(), args[0]) },
	}
}

const manualMode = 0o755 // of folders that everybody may read

// writeManuals writes the man pages and completions.
func writeManuals(root *cobra.Command, dir string) error {
	pages, completions := filepath.Join(dir, "man1"), filepath.Join(dir, "completions")
	for _, folder := range []string{pages, completions} {
		err := os.MkdirAll(folder, manualMode)
		if err != nil {
			return fmt.Errorf("make the folder of the manuals: %w", err)
		}
	}
	facts := buildFacts()
	date, err := time.Parse(time.RFC3339, facts.CommitTime)
	if err != nil {
		date = time.Unix(0, 0).UTC() // not known
	}
	root.DisableAutoGenTag = true
	asMarkdown(root)
	header := doc.GenManHeader{Section: "1", Date: &date, Source: "Packhorse " + facts.Version, Manual: "Packhorse"}
	err = doc.GenManTree(root, &header, pages)
	if err != nil {
		return fmt.Errorf("write the man pages: %w", err)
	}
	for name, write := range map[string]func(string) error{
		"packhorse.bash": func(file string) error { return root.GenBashCompletionFileV2(file, true) },
		"_packhorse":     root.GenZshCompletionFile,
		"packhorse.fish": func(file string) error { return root.GenFishCompletionFile(file, true) },
	} {
		err = write(filepath.Join(completions, name))
		if err != nil {
			return fmt.Errorf("write the completion %s: %w", name, err)
		}
	}
	return nil
}

// asMarkdown rewrites the texts of the commands, because the library that makes man pages takes them for Markdown.
func asMarkdown(cmd *cobra.Command) {
	cmd.Long = markdown(cmd.Long)
	for _, sub := range cmd.Commands() {
		asMarkdown(sub)
	}
}

// markdownSigns has the characters that mean something in Markdown, and may occur in a help text.
var markdownSigns = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`)

// markdown returns help text as Markdown: what is indented is a table or a list, and stays as it is.
func markdown(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "  ") {
			lines[i] = "    " + line
		} else {
			lines[i] = markdownSigns.Replace(line)
		}
	}
	return strings.Join(lines, "\n")
}
