package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/local"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/investigation"
)

// runCommand has the command complete the options with its flags.
func runCommand(o local.Options) *cobra.Command {
	var json bool
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
			err := completeRun(cmd, &o)
			if err != nil {
				return err
			}
			return run(cmd, o, json)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Simulate, "simulate", 0, "carry the packages of a simulated tenant with `N` actions")
	flags.Var((*simulation.Sizes)(&o.Sizes), "package-size", "of the simulated packages, in turn: `SIZE`[,SIZE…], such as 2GiB")
	flags.BoolVar(&o.UntilIdle, "until-idle", false,
		"end when nothing is ready, in flight or to be announced, and no waiting action is younger than 30 minutes")
	flags.BoolVar(&json, "json", false, "write one JSON object a line to standard output")
	flags.StringVar(&o.Data, "data", "",
		"the data `DIR` (default "+datafolder.Default+", and "+datafolder.DefaultSimulation+" with --simulate)")
	flags.StringVar(&o.Bucket, "bucket", "", "store into this bucket (`NAME`) instead of the data folder")
	flags.StringVar(&o.Endpoint, "s3-endpoint", "", "the S3-compatible service that has the bucket (`URL`)")
	return cmd
}

// completeRun finds what does not go together, and chooses the data folder if nobody did.
func completeRun(cmd *cobra.Command, o *local.Options) error {
	switch {
	case cmd.Flags().Changed("simulate") && o.Simulate < 1:
		return usage(cmd, errors.New("--simulate takes the number of actions, 1 or more"))
	case o.Simulate == 0 && len(o.Sizes) > 0:
		return usage(cmd, errors.New("--package-size goes with --simulate"))
	case o.Endpoint != "" && o.Bucket == "":
		return usage(cmd, errors.New("--s3-endpoint goes with --bucket"))
	case o.Data != "":
	case o.Simulate > 0:
		o.Data = datafolder.DefaultSimulation
	default:
		o.Data = datafolder.Default
	}
	return nil
}

// run is one `packhorse run`.
func run(cmd *cobra.Command, o local.Options, json bool) (err error) {
	ctx, startedAt := cmd.Context(), time.Now()
	screen := openRunScreen(cmd, json)
	defer screen.close()

	runtime, err := local.Open(ctx, o, screen.logger)
	switch {
	case err != nil && ctx.Err() != nil:
		return o.Interrupted() // as a rule while it waited for a token
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()

	runErr := runtime.Run(ctx, screen.reporter, screen.logger)
	screen.close()
	if runErr != nil && !errors.Is(runErr, local.ErrStopped) &&
		!errors.Is(runErr, investigation.ErrBadRecord) { // then all others are done
		return runErr
	}

	result, err := runtime.Result(context.WithoutCancel(ctx)) // an interrupted run shows what it did, too
	if err != nil {
		return errors.Join(runErr, err)
	}
	err = screen.show(summaryOf(result, o, startedAt))
	if err != nil {
		return errors.Join(runErr, err)
	}
	if result.Judgement != nil && !result.Judgement.Passed {
		return errors.Join(runErr, errJudge)
	}
	return runErr
}

var errJudge = errors.New("the simulator's judge found a rule broken")

func summaryOf(r local.Result, o local.Options, startedAt time.Time) console.Summary {
	return console.Summary{
		Records: r.Records, StartedAt: startedAt, EndedAt: time.Now(), Locate: r.Locate,
		Evidence: console.Evidence{
			Sequence: r.Head.Sequence, Digest: r.Head.Digest, KeyID: r.KeyID, Check: verification(r.Data, o),
		},
		Judge: (*console.Judgement)(r.Judgement), Simulated: r.Simulated,
	}
}

// verification is the command that checks what was stored.
func verification(data string, o local.Options) string {
	command := "packhorse verify --data " + console.ShellQuote(data)
	if o.Bucket != "" {
		command += " --from " + console.ShellQuote(evidence.Scheme+o.Bucket)
	}
	if o.Endpoint != "" {
		command += " --s3-endpoint " + console.ShellQuote(o.Endpoint)
	}
	return command
}
