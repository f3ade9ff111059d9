package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/local"
	"packhorse/cmd/packhorse/simulation"
	"packhorse/internal/tenant"
)

const runHelp = `Run is all of Packhorse in one process: it lists the tenant's actions, fetches every package within
the budget, verifies it and stores it. Packages are stored as plain files under
DIR/s3/<bucket>/<key> or, with --bucket, in your own S3 bucket. State is kept in DIR/packhorse.db:
after a crash or an interruption, run again and it continues where it left off.

A single tenant and its credential come from the environment:

  DEFENDER_TENANT_ID      the tenant's id, a GUID
  DEFENDER_CLIENT_ID      the app registration's id, a GUID
  DEFENDER_CLIENT_SECRET  a client secret's value; packhorse help credentials has ways without one
  DEFENDER_CLOUD          commercial (default), gcc, gcc-high or dod

Optional settings for locking evidence and for recognizing case ids in comments:

  OBJECT_LOCK_MODE        GOVERNANCE (default), COMPLIANCE or NONE; unless this is NONE, the --bucket
                          bucket must have been created with Object Lock
  OBJECT_LOCK_DAYS        retention in days, 365 by default
  CASE_PATTERN            a regular expression; by default ids such as INC-4711 are recognized

packhorse help settings lists every variable, also for proxies, regional hosts and a lower budget.

Run also serves every tenant that packhorse tenant add has registered in the data directory, each
within a budget of its own. A change of the registry takes effect within a minute. A tenant that fails
is named and tried again; it does not hold up or end the work for the others.

Run stores a manifest and its signature next to each package. It signs with DIR/signing-key.pem and
creates that key if it does not exist. packhorse verify checks all of it.

With --simulate you need none of these settings: a Defender simulator runs in the same process, and a
judge reports at the end whether the run kept Defender's rules. A simulation uses a separate data
directory, and everything it stores is marked as simulated.

An invalid setting ends the run at once, before anything is created. So does a rejected credential, if
its tenant is the only one. If Entra ID or Defender cannot be reached, the run logs that and retries.

With --until-idle, exit code 0 means that nothing is left to do for any tenant, and 1 that something
is: if it is so for some of several tenants, everything is done for the others, and the error names
the tenants. Suspended tenants do not count. Without --until-idle, an interrupted run ends with 0.`

// runCommand returns the run command, whose flags complete the options.
func runCommand(o local.Options) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Find, fetch and store packages in one process",
		Long:  runHelp,
		Example: `  packhorse run --simulate 4 --until-idle       watch it work, in about a minute
  packhorse run                                 a real tenant, until interrupted
  packhorse run --until-idle --json | jq .      once, for a script
  packhorse run --bucket my-evidence            into S3, with your AWS configuration
  packhorse run --simulate 40 --tenants 12      a dozen tenants, most of them small`,
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
	simulationFlags(flags, &o)
	flags.StringVar((*string)(&o.Credential), "credential", "",
		"how the app proves who it is: `KIND` federated, certificate or secret (default: DEFENDER_CREDENTIAL)")
	flags.BoolVar(&o.UntilIdle, "until-idle", false,
		"exit once nothing is ready, in flight or unannounced, and every waiting action is at least 30 minutes old")
	flags.BoolVar(&json, "json", false, "write one JSON object per line to standard output")
	flags.StringVar(&o.Data, "data", "",
		"data directory `DIR` (by default PACKHORSE_DATA, or "+datafolder.Default+"; with --simulate, "+
			datafolder.DefaultSimulation+")")
	bucketFlags(flags, &o)
	return cmd
}

// bucketFlags adds the flags of an archive in the user's bucket.
func bucketFlags(flags *pflag.FlagSet, o *local.Options) {
	flags.StringVar(&o.Bucket, "bucket", "", "store packages in the bucket `NAME` instead of the data directory")
	flags.StringVar(&o.Endpoint, "s3-endpoint", "", "`URL` of the S3-compatible service that holds the bucket")
}

// simulationFlags adds the flags of a simulated tenant.
func simulationFlags(flags *pflag.FlagSet, o *local.Options) {
	flags.IntVar(&o.Simulate, "simulate", 0, "fetch from a simulated tenant with `N` actions")
	flags.IntVar(&o.Tenants, "tenants", 1, "with --simulate, share the actions out among `T` simulated tenants")
	flags.Uint64Var(&o.Seed, "seed", 0, "random seed for the simulated ids and hosts: the same `N` gives the same ones")
	flags.Var((*simulation.Sizes)(&o.Sizes), "package-size",
		"sizes of the simulated packages, used in turn: `SIZE`[,SIZE…], such as 2GiB")
}

// completeRun rejects flags that contradict each other and sets the default data folder.
func completeRun(cmd *cobra.Command, o *local.Options) error {
	if o.Credential != "" && !slices.Contains(tenant.Kinds(), o.Credential) {
		return usage(cmd, fmt.Errorf("unknown --credential %.40q: write federated, certificate or secret", o.Credential))
	}
	switch {
	case cmd.Flags().Changed("simulate") && o.Simulate < 1:
		return usage(cmd, errors.New("--simulate must be 1 or more"))
	case o.Simulate == 0 && len(o.Sizes) > 0:
		return usage(cmd, errors.New("--package-size requires --simulate"))
	case o.Simulate == 0 && cmd.Flags().Changed("seed"):
		return usage(cmd, errors.New("--seed requires --simulate"))
	case o.Simulate == 0 && cmd.Flags().Changed("tenants"):
		return usage(cmd, errors.New("--tenants requires --simulate"))
	case o.Tenants < 1 || o.Tenants > simulation.TenantsMax:
		return usage(cmd, fmt.Errorf("--tenants must be 1 to %d", simulation.TenantsMax))
	case o.Endpoint != "" && o.Bucket == "":
		return usage(cmd, errors.New("--s3-endpoint requires --bucket"))
	case o.Data != "":
	case o.Simulate > 0:
		o.Data = datafolder.DefaultSimulation
	default:
		o.Data = datafolder.Default
	}
	return nil
}

// run runs `packhorse run`.
func run(cmd *cobra.Command, o local.Options, json bool) (err error) {
	ctx, startedAt := cmd.Context(), time.Now()
	screen := openRunScreen(cmd, o.Environ, json)
	defer screen.close()

	runtime, err := local.Open(ctx, o, screen.logger)
	switch {
	case err != nil && ctx.Err() != nil:
		return o.Interrupted() // usually while it waits for a token
	case err != nil:
		return err
	}
	defer func() { err = errors.Join(err, runtime.Close()) }()

	runErr := runtime.Run(ctx, screen.reporter)
	screen.close()
	if !local.Finished(runErr) {
		return runErr
	}
	results, err := runtime.Results(context.WithoutCancel(ctx), startedAt) // an interrupted run also shows its summary
	if err != nil {
		return errors.Join(runErr, err)
	}
	var summaries []console.Summary
	broken := error(nil)
	for _, r := range results {
		summaries = append(summaries, summaryOf(r, o, startedAt))
		if r.Judgement != nil && !r.Judgement.Passed {
			broken = errJudge
		}
	}
	err = screen.show(summaries)
	if err != nil {
		return errors.Join(runErr, err)
	}
	if broken != nil {
		return errors.Join(runErr, broken)
	}
	return runErr
}

var errJudge = errors.New("the run broke a rule of the simulator: see the judge's verdict")

func summaryOf(r local.Result, o local.Options, startedAt time.Time) console.Summary {
	return console.Summary{
		TenantID: r.TenantID, Name: r.Name,
		Records: r.Records, Earlier: r.Earlier, StartedAt: startedAt, EndedAt: time.Now(), Locate: r.Locate,
		Evidence: console.Evidence{
			Sequence: r.Head.Sequence, Digest: r.Head.Digest, KeyID: r.KeyID, Check: "packhorse verify" + where(o),
			Find: "packhorse list --data " + console.ShellQuote(o.Data),
		},
		Judge: (*console.Judgement)(r.Judgement), Simulated: r.Simulated,
	}
}

// where returns the flags that lead packhorse verify to what the run stored. The data folder is as the user
// wrote it.
func where(o local.Options) string {
	flags := " --data " + console.ShellQuote(o.Data)
	if o.Bucket != "" {
		flags += " --from " + console.ShellQuote(evidence.Scheme+o.Bucket)
	}
	if o.Endpoint != "" {
		flags += " --s3-endpoint " + console.ShellQuote(o.Endpoint)
	}
	return flags
}
