package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/charmbracelet/x/vt"
	"github.com/charmbracelet/x/xpty"
)

// scrollbackMax is how many lines above the screen are kept: more than any capture has.
const scrollbackMax = 10_000

// terminal is a pseudo terminal and an emulator that shows what is written to it.
type terminal struct {
	pty *xpty.UnixPty

	mu sync.Mutex // guards the emulator
	vt *vt.Emulator
}

func openTerminal(width, height int) (*terminal, error) {
	pty, err := xpty.NewUnixPty(width, height)
	if err != nil {
		return nil, fmt.Errorf("open a pseudo terminal: %w", err)
	}
	t := &terminal{pty: pty, vt: vt.NewEmulator(width, height)}
	t.vt.SetScrollbackSize(scrollbackMax)
	return t, nil
}

// run runs a shell's command line to its end, calls drawn after everything that it writes, and returns its
// exit code. It shows the line first, behind a prompt.
func (t *terminal) run(ctx context.Context, line, folder string, environ []string, drawn func(*os.Process)) (int, error) {
	_, _ = t.vt.WriteString("$ " + line + "\r\n")          // an emulator does not fail
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line) //nolint:gosec // a line of the list
	cmd.Dir, cmd.Env = folder, environ
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := t.pty.Start(cmd)
	if err != nil {
		return 0, err
	}
	// The other end is the command's alone: when it has closed it, reading ends.
	err = t.pty.Slave().Close()
	if err != nil {
		return 0, err
	}
	var answers sync.WaitGroup // a program may ask the terminal something, which waits for a reader
	answers.Go(func() { _, _ = io.Copy(t.pty, t.vt) })
	err = t.draw(func() { drawn(cmd.Process) })
	waited := cmd.Wait()
	_ = t.vt.Close() // ends the answers
	answers.Wait()
	if _, failed := errors.AsType[*exec.ExitError](waited); failed {
		waited = nil // the code says it
	}
	return cmd.ProcessState.ExitCode(), errors.Join(err, waited)
}

// draw copies what is written to the terminal to the emulator.
func (t *terminal) draw(drawn func()) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := t.pty.Read(buffer)
		t.mu.Lock()
		_, _ = t.vt.Write(buffer[:n])
		t.mu.Unlock()
		if errors.Is(err, syscall.EIO) || errors.Is(err, io.EOF) { // nobody has the other end open
			return nil
		}
		if err != nil {
			return err
		}
		drawn()
	}
}

// text returns what is above the screen and on it, without blanks at the ends of lines and empty lines at the
// end.
func (t *terminal) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, line := range t.vt.Scrollback().Lines() {
		lines = append(lines, line.String())
	}
	lines = append(lines, strings.Split(t.vt.String(), "\n")...)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \r")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}
