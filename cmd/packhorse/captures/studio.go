package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/tenant"
)

// patience is how long a command may take. A run of four packages takes about a minute.
const patience = 2 * time.Minute

// studio is a folder to run commands in, and a simulated tenant for those that want one.
type studio struct {
	program, folder string
	sim             *simulation.Site
}

func openStudio(ctx context.Context, program string) (*studio, error) {
	folder, err := os.MkdirTemp("", "captures")
	if err != nil {
		return nil, err
	}
	const any = "127.0.0.1:0"
	sim, err := simulation.Serve(ctx, any, any,
		simulation.Plan{Seed: 1, StartedAt: time.Now().UTC(), Actions: 4}, tenant.ClientSecret, "")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return &studio{program, folder, sim}, nil
}

func (s *studio) close() error { return errors.Join(s.sim.Close(), os.RemoveAll(s.folder)) }

// environ returns the environment of a capture's command: what it needs, and nothing of this machine.
func (s *studio) environ(c capture) []string {
	environ := []string{
		"PATH=" + filepath.Dir(s.program) + ":/usr/bin:/bin", "HOME=" + s.folder, "TERM=xterm-256color",
		"LANG=C.UTF-8", "PACKHORSE_DATA=packhorse-simulation",
	}
	if c.tenant {
		environ = append(environ, s.sim.Environ()...)
		environ = append(environ, "DEFENDER_CA_PEM="+string(s.sim.RootPEM()))
	}
	return append(environ, c.environ...)
}

// take takes one capture, and the one of its middle.
func (s *studio) take(ctx context.Context, c capture, size [2]int, texts map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c.before != "" {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", c.before) //nolint:gosec // a line of the list
		cmd.Dir, cmd.Env = s.folder, s.environ(c)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w, after\n%s", err, out)
		}
	}
	t, err := openTerminal(size[0], size[1])
	if err != nil {
		return err
	}
	file := func(name string) string { return name + "-" + strconv.Itoa(size[0]) + ".txt" }
	code, err := t.run(ctx, c.line, s.folder, s.environ(c), func(process *os.Process) {
		m := c.midway
		if m == nil || texts[file(m.name)] != "" {
			return
		}
		if shown := t.text(); m.when.MatchString(shown) {
			texts[file(m.name)] = shown
			if m.stop { // with whatever code
				_ = syscall.Kill(-process.Pid, syscall.SIGINT) // if it has ended already, so much the better
			}
		}
	})
	err = errors.Join(err, ctx.Err())
	shown := t.text()
	switch {
	case err != nil:
		return fmt.Errorf("%w, after\n%s", err, shown)
	case code != c.exit && (c.midway == nil || !c.midway.stop):
		return fmt.Errorf("exit code %d instead of %d:\n%s", code, c.exit, shown)
	case c.midway != nil && texts[file(c.midway.name)] == "":
		return fmt.Errorf("the screen never matched %s; in the end it was\n%s", c.midway.when, shown)
	case c.midway == nil || !c.midway.stop:
		texts[file(c.name)] = shown
	}
	return nil
}
