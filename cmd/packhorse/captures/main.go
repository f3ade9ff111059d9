// Command captures writes what the commands of Packhorse show on a terminal to docs/captures, by running them
// in pseudo terminals of two sizes. The target captures of the Makefile builds the program and calls it. It is
// not part of the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// sizes are the columns and rows of the terminals.
var sizes = [][2]int{{80, 24}, {120, 30}}

func main() {
	program := flag.String("program", "bin/packhorse", "the packhorse to run")
	out := flag.String("o", "docs/captures", "the folder to write to")
	only := flag.String("only", "", "a comma list of captures: take and print only these")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := captureAll(ctx, *program, *out, *only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "captures:", err)
		os.Exit(1) //nolint:gocritic // the context ends with the process
	}
}

// captureAll takes every capture at every size, the sizes at the same time. It replaces the folder's captures
// only if all of them could be taken.
func captureAll(ctx context.Context, program, out, only string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	texts := make([]map[string]string, len(sizes))
	failures := make([]error, len(sizes))
	var group sync.WaitGroup
	for i, size := range sizes {
		group.Go(func() { texts[i], failures[i] = captureSize(ctx, program, size, only) })
	}
	group.Wait()
	err = errors.Join(failures...)
	if err != nil {
		return err
	}
	if only != "" {
		for _, text := range texts {
			for _, shown := range text {
				fmt.Print(shown)
			}
		}
		return nil
	}
	return write(out, texts)
}

// captureSize takes every capture on a terminal of one size, and returns their texts by file name.
func captureSize(ctx context.Context, program string, size [2]int, only string) (texts map[string]string, err error) {
	s, err := openStudio(ctx, program)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	texts = map[string]string{}
	for _, c := range captures {
		if only != "" && !slices.Contains(strings.Split(only, ","), c.name) {
			continue
		}
		err = s.take(ctx, c, size, texts)
		if err != nil {
			return nil, fmt.Errorf("%s at %d columns: %w", c.name, size[0], err)
		}
	}
	return texts, nil
}

// write replaces the captures in the folder.
func write(folder string, texts []map[string]string) error {
	old, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return err
	}
	for _, path := range old {
		err = os.Remove(path)
		if err != nil {
			return err
		}
	}
	for _, text := range texts {
		for file, shown := range text {
			err = os.WriteFile(filepath.Join(folder, file), []byte(shown), 0o644) //nolint:gosec // documentation
			if err != nil {
				return err
			}
		}
	}
	return nil
}
