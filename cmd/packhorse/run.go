package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/process"
	"packhorse/internal/investigation"
)

// runOptions are the flags of `packhorse run`.
type runOptions struct {
	simulate    int      // actions of the simulated tenant; 0 = a real tenant
	packageSize sizeList // of the simulated packages; empty = mixed
	untilIdle   bool
	json        bool
	data        string // folder of ledger, budget and embedded archive; empty: the default
	s3Endpoint  string // empty = AWS, or embedded where bucket is empty too
	bucket      string // empty = embedded
}

func (m Main) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Find, fetch and store packages, in this one process",
		Long: `Run does all of Packhorse in one process: it lists the tenant's actions, fetches every package
within the budget, verifies it and stores it. Packages land as plain files under
DIR/s3/<bucket>/<key>, or in a bucket of yours with --bucket. State is in DIR/packhorse.db: run
again after an interruption, however rude, and it goes on where it stood.

The tenant and its credential come from the environment:

  DEFENDER_TENANT_ID      the tenant's id, a GUID
  DEFENDER_CLIENT_ID      the app registration's id, a GUID
  DEFENDER_CLIENT_SECRET  a client secret's value
  DEFENDER_CLOUD          commercial (default), gcc, gcc-high or dod

and so may how evidence is locked, and which comments name a case:

  OBJECT_LOCK_MODE        GOVERNANCE (default), COMPLIANCE or NONE; a bucket of --bucket must have
                          been made with Object Lock, or this be NONE
  OBJECT_LOCK_DAYS        for how long, 365 by default
  CASE_PATTERN            a regular expression; INC-4711 and its like are found without

Each package gets a manifest and a signature beside it, by the key DIR/signing-key.pem, which is made
if it is not there. packhorse verify checks all of it.

With --simulate none of these is needed: a Defender simulator runs in the same process, and a judge
says at the end whether its rules were kept. A simulation has a data folder of its own, and what it
stores is marked as simulated.

A setting or a credential that is refused ends a run at once, and nothing is made. While Entra ID or
Defender cannot be reached, a run says so and tries again.`,
		Example: `  packhorse run --simulate 4 --until-idle       see it work, in about a minute
  packhorse run                                 a real tenant, for good
  packhorse run --until-idle --json | jq .      once, for a script
  packhorse run --bucket my-evidence            into S3, with your AWS configuration`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.complete(cmd)
			if err != nil {
				return err
			}
			return m.run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.simulate, "simulate", 0, "carry the packages of a simulated tenant with `N` actions")
	flags.Var(&o.packageSize, "package-size", "of the simulated packages, in turn: `SIZE`[,SIZE…], such as 2GiB")
	flags.BoolVar(&o.untilIdle, "until-idle", false,
		"end when nothing is ready, in flight or to be announced, and no waiting action is younger than 30 minutes")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line to standard output")
	flags.StringVar(&o.data, "data", "",
		"the data `DIR` (default "+dataDefault+", and "+simulationDefault+" with --simulate)")
	flags.StringVar(&o.bucket, "bucket", "", "store into this bucket (`NAME`) instead of the data folder")
	flags.StringVar(&o.s3Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	return cmd
}

// complete finds what does not go together, and names the data folder where nobody did.
func (o *runOptions) complete(cmd *cobra.Command) error {
	usage := func(text string) error {
		return &usageError{command: cmd.CommandPath(), err: errors.New(text)}
	}
	switch {
	case cmd.Flags().Changed("simulate") && o.simulate < 1:
		return usage("--simulate takes the number of actions, 1 or more")
	case o.simulate == 0 && len(o.packageSize) > 0:
		return usage("--package-size goes with --simulate")
	case o.s3Endpoint != "" && o.bucket == "":
		return usage("--s3-endpoint goes with --bucket")
	case o.data != "":
	case o.simulate > 0:
		o.data = simulationDefault
	default:
		o.data = dataDefault
	}
	return nil
}

// run is one `packhorse run`.
func (m Main) run(ctx context.Context, o runOptions) (err error) {
	startedAt := time.Now()
	screen := m.openScreen(o.json)
	defer screen.close()

	station, err := openStation(ctx, o, m.Environ, screen.logger)
	if err != nil && ctx.Err() != nil {
		return process.Interrupted(o.untilIdle) // as a rule while it waited for a token
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, station.close()) }()

	proc := station.process(screen.reporter, screen.logger)
	runErr := proc.Run(ctx, o.untilIdle)
	screen.close()
	if runErr != nil && !errors.Is(runErr, process.ErrStopped) &&
		!errors.Is(runErr, investigation.ErrBadRecord) { // then all others are done
		return runErr
	}

	// What was interrupted still shows what it did.
	summary, err := station.summary(context.WithoutCancel(ctx), startedAt)
	if err != nil {
		return errors.Join(runErr, err)
	}
	err = screen.show(summary)
	if err != nil {
		return errors.Join(runErr, err)
	}
	if summary.Judge != nil && !summary.Judge.Passed {
		return errors.Join(runErr, errJudge)
	}
	return runErr
}

var errJudge = errors.New("the simulator's judge found a rule broken")

// screen is where a run is shown: events on one side, the closing summary on the other.
type screen struct {
	reporter process.Reporter
	logger   *slog.Logger
	close    func() // may be called more than once
	show     func(console.Summary) error
}

// openScreen chooses how the run is shown: JSON lines on standard output, or progress bars (lines of
// text where there is no terminal) on standard error and the table on standard output.
func (m Main) openScreen(json bool) screen {
	table := func(s console.Summary) error { return s.Table(m.Stdout) }
	switch terminal := m.terminal(); {
	case json:
		lines := console.NewJSON(m.Stdout, time.Now)
		return screen{lines, newLogger(m.Stderr), func() {}, lines.Summary}
	case terminal != nil:
		t := console.NewTerminal(terminal, time.Now)
		return screen{t, newLogger(t), t.Close, table}
	default:
		return screen{console.NewLines(m.Stderr, time.Now), newLogger(m.Stderr), func() {}, table}
	}
}

// terminal returns standard error if a person watches it, else nil.
func (m Main) terminal() *os.File {
	file, ok := m.Stderr.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return nil
	}
	return file
}

func newLogger(out io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// verification is the command that checks what was stored.
func (o runOptions) verification() string {
	command := "packhorse verify --data " + console.ShellQuote(o.data)
	if o.bucket != "" {
		command += " --from " + console.ShellQuote(s3Scheme+o.bucket)
	}
	if o.s3Endpoint != "" {
		command += " --s3-endpoint " + console.ShellQuote(o.s3Endpoint)
	}
	return command
}

// locate says where a person finds a stored object: the file, or the S3 URL.
func (o runOptions) locate(receipt investigation.Receipt) string {
	if o.bucket != "" {
		return "s3://" + receipt.Bucket + "/" + receipt.Key
	}
	return filepath.Join(o.data, s3Folder, receipt.Bucket, filepath.FromSlash(receipt.Key))
}
