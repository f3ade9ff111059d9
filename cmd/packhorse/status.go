package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/desk"
	"packhorse/cmd/packhorse/overview"
	"packhorse/internal/defender"
	"packhorse/internal/settings"
	"packhorse/internal/status"
)

// statusOptions are the flags of `packhorse status`.
type statusOptions struct {
	desk.Options

	watch, json bool
	environ     []string
}

func statusCommand(environ []string) *cobra.Command {
	o := statusOptions{environ: environ}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what is queued, when it will be stored, and what needs a person",
		Long: `Status shows where the packages of each tenant stand: whether sweeps go on, what waits for its host, what is
queued and when each package will be stored, what is being fetched, what was postponed and why, what was
done in the last 24 hours, and what only a person can mend, with advice. It reads the ledger and the
budget of the data directory, or of a deployed stack. It contacts neither Defender nor the archive, and
spends no budget.

Of many tenants it shows those that need a person, then those with work. A tenant is idle if nothing is
queued, being fetched or recorded; hosts that are waited for show with --tenant, which shows one tenant in
full. --json has all of every tenant, which reads every record of each.

Times to come are estimates: they assume that every call of the budget is used as soon as it frees, that
fetches succeed, and that nothing more urgent arrives.

With --watch, status is shown anew every 2 seconds until you press q or Ctrl-C. A stack is read every
30 seconds, because each reading costs money.

The exit code is 0 even if something is wrong; --json has it in problems.`,
		Example: `  packhorse status                               of the data directory
  packhorse status --watch
  packhorse status --stack packhorse             of a deployed stack
  packhorse status --tenant Contoso              one of several tenants, in full
  packhorse status --json | jq '.tenants[].problems[].what'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.check(cmd)
			if err != nil {
				return err
			}
			return showStatus(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.watch, "watch", false, "show it anew every 2 seconds")
	flags.BoolVar(&o.json, "json", false, "write one JSON object (with --watch, one per line)")
	flags.StringVar(&o.Data, "data", datafolder.Default, "data directory `DIR`, which holds the ledger and the budget")
	flags.StringVar(&o.Stack, "stack", "", "read the tables of the deployed stack with this `NAME`")
	flags.StringVar(&o.TenantID, "tenant", "", "only the tenant with this `ID|NAME`")
	completeFor(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// check completes the options and rejects flags that contradict each other.
func (o *statusOptions) check(cmd *cobra.Command) (err error) {
	if o.Stack != "" && cmd.Flags().Changed("data") {
		return usage(cmd, errors.New("--stack excludes --data"))
	}
	o.TenantID, err = tenantFlag(cmd, o.TenantID)
	if err != nil {
		return err
	}
	o.Environ = settings.Map(o.environ)
	o.Limits, err = linkLimits(o.Environ)
	if err != nil {
		return usage(cmd, err)
	}
	return nil
}

// linkLimits returns the limits that a run with these variables would keep.
func linkLimits(variables map[string]string) (defender.Limits, error) {
	limits := defender.Limits{PerMinute: 2, PerHour: 120}
	for name, to := range map[string]*int{
		"PACKAGE_URI_PER_MINUTE": &limits.PerMinute, "PACKAGE_URI_PER_HOUR": &limits.PerHour,
	} {
		text := variables[name]
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return defender.Limits{}, fmt.Errorf("%s is %.40q: write a number of calls, at least 1", name, text)
		}
		*to = n
	}
	return limits, nil
}

func showStatus(cmd *cobra.Command, o statusOptions) (err error) {
	d, err := desk.Open(cmd.Context(), o.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if o.watch {
		return watchStatus(cmd, d, o)
	}
	now := time.Now()
	tenants, err := d.Read(cmd.Context(), now, o.json)
	if err != nil {
		return err
	}
	return o.write(cmd.OutOrStdout(), tenants, now, widthOf(cmd.OutOrStdout()))
}

// write writes one status.
func (o *statusOptions) write(out io.Writer, tenants status.Overview, now time.Time, width int) error {
	if o.json {
		simulated := len(tenants.Tenants) > 0
		for _, t := range tenants.Tenants {
			simulated = simulated && desk.Simulated(t.TenantID)
		}
		return overview.JSON(out, tenants.Tenants, simulated, now)
	}
	return overview.Table(out, tenants, now, width)
}

const (
	// watchPause is the time between two frames.
	watchPause = 2 * time.Second
	// costlyPause is the time between two readings of a stack.
	costlyPause = 30 * time.Second
	// sizePause is how often the size of the terminal is checked.
	sizePause = 200 * time.Millisecond
)

// watchStatus shows the status until the context ends or, on a terminal, a key ends it.
func watchStatus(cmd *cobra.Command, d *desk.Desk, o statusOptions) error {
	_, redraws := terminalIn(o.environ)
	terminal := terminalOf(cmd.OutOrStdout())
	if terminal != nil && redraws && !o.json {
		return watchTerminal(cmd.Context(), terminal, d, o)
	}
	out := cmd.OutOrStdout()
	pause := watchPause
	if d.Costly {
		pause = costlyPause
	}
	for first := true; ; first = false {
		now := time.Now()
		tenants, err := d.Read(cmd.Context(), now, o.json)
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if !o.json {
			if !first {
				fmt.Fprintln(out)
			}
			fmt.Fprintf(out, "== %s, %s\n", d.Name, now.UTC().Format(time.DateTime+"Z"))
		}
		err = o.write(out, tenants, now, widthOf(out))
		if err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-cmd.Context().Done():
			return nil
		}
	}
}

// watchTerminal redraws the status on a terminal.
func watchTerminal(ctx context.Context, terminal *os.File, d *desk.Desk, o statusOptions) (err error) {
	tenants, err := d.Read(ctx, time.Now(), false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	restore := quitKeys(stop)
	defer restore()
	screen, err := overview.NewScreen(terminal)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, screen.Close()) }()
	w := watching{desk: d, options: o, tenants: tenants, readAt: time.Now()}
	var drawn time.Time
	var width, height int
	for ctx.Err() == nil {
		newWidth, newHeight, err := term.GetSize(int(terminal.Fd()))
		if err != nil {
			return fmt.Errorf("get the size of the terminal: %w", err)
		}
		if now := time.Now(); now.Sub(drawn) >= watchPause || newWidth != width || newHeight != height {
			drawn, width, height = now, newWidth, newHeight
			w.read(ctx, now)
			err = screen.Draw(w.text(now, width), w.footer(now), width, height)
			if err != nil {
				return err
			}
		}
		select {
		case <-time.After(sizePause):
		case <-ctx.Done():
		}
	}
	return nil
}

// watching is what a watched terminal shows.
type watching struct {
	desk    *desk.Desk
	options statusOptions
	tenants status.Overview
	readAt  time.Time // when they were read
	tried   time.Time
	failed  error // why they could not be read since
}

// read reads the status if that is due. If it fails, the last one stays.
func (w *watching) read(ctx context.Context, now time.Time) {
	pause := watchPause
	if w.desk.Costly {
		pause = costlyPause
	}
	if now.Sub(w.readAt) < pause || now.Sub(w.tried) < pause {
		return
	}
	w.tried = now
	tenants, err := w.desk.Read(ctx, now, false)
	w.failed = err
	if err == nil {
		w.tenants, w.readAt = tenants, now
	}
}

func (w *watching) text(now time.Time, width int) string {
	var text strings.Builder
	_ = w.options.write(&text, w.tenants, now, width) // to memory
	return text.String()
}

func (w *watching) footer(now time.Time) string {
	if w.failed != nil {
		return overview.Failure(w.failed, w.readAt)
	}
	return overview.Footer(w.desk.Name, now, w.readAt)
}

// quitKeys calls stop when q or Ctrl-C is pressed, and returns what gives the keyboard back. Without a keyboard, only
// signals stop.
func quitKeys(stop func()) (restore func()) {
	keyboard := int(os.Stdin.Fd())
	before, err := term.MakeRaw(keyboard)
	if err != nil {
		return func() {}
	}
	go func() { // ends with the process: a read of a keyboard cannot be interrupted
		const ctrlC, ctrlD, escape = 3, 4, 27
		var key [1]byte
		for {
			n, err := os.Stdin.Read(key[:])
			if err != nil {
				return
			}
			if n == 1 && (key[0] == 'q' || key[0] == 'Q' || key[0] == ctrlC || key[0] == ctrlD || key[0] == escape) {
				stop()
				return
			}
		}
	}()
	return func() { _ = term.Restore(keyboard, before) }
}
