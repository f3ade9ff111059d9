package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/internal/doctor"
	"packhorse/internal/settings"
)

// doctorOptions are the flags of `packhorse doctor`.
type doctorOptions struct {
	environ  []string
	data     string
	stack    string
	bucket   string
	endpoint string
	tenant   string
	json     bool
}

func doctorCommand(environ []string) *cobra.Command {
	o := doctorOptions{environ: environ}
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check that Packhorse is set up right, and say how to mend it",
		Long: `Doctor looks at everything that Packhorse needs, and says for each thing whether it is right and, if
not, what to do. It takes the settings from the environment, like packhorse run, and the data folder
from --data. With --stack it looks at a deployed stack instead, with your AWS configuration.

Doctor only looks. It changes nothing, stores nothing, and does not ask Defender for a package. It
makes one list call for each tenant.

If tenants are registered, it looks at each of them. What they share comes first, then the failures and
warnings of tenants, and the tenants without any as one line. --tenant shows one tenant in full. Suspended
tenants are skipped.

Each check is ok, warning, failed or skipped; a skipped check says why, and proves nothing. Exit codes:

  0  nothing failed (there may be warnings)
  1  a check failed
  2  invalid command line`,
		Example: `  packhorse doctor                               this machine, its tenant and data folder
  packhorse doctor --stack packhorse             a deployed stack, with all its tenants
  packhorse doctor --stack packhorse --tenant Contoso
  packhorse doctor --json | jq -r 'select(.state == "failed") | .name'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.check(cmd)
			if err != nil {
				return err
			}
			return examine(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", datafolder.Default, "data directory `DIR`, which holds the ledger, keys and archive")
	flags.StringVar(&o.stack, "stack", "", "look at the deployed stack with this `NAME`")
	flags.StringVar(&o.bucket, "bucket", "", "packages are stored in the bucket `NAME` instead of the data directory")
	flags.StringVar(&o.endpoint, "s3-endpoint", "", "`URL` of the S3-compatible service that holds the bucket")
	flags.StringVar(&o.tenant, "tenant", "", "look at the tenant with this `ID|NAME` only")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line")
	completeFor(cmd)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

// check rejects flags that contradict each other.
func (o *doctorOptions) check(cmd *cobra.Command) (err error) {
	o.tenant, err = tenantFlag(cmd, o.tenant)
	switch {
	case err != nil:
		return err
	case o.stack != "" && (o.bucket != "" || cmd.Flags().Changed("data")):
		return usage(cmd, errors.New("--stack excludes --data and --bucket"))
	case o.endpoint != "" && o.bucket == "":
		return usage(cmd, errors.New("--s3-endpoint requires --bucket"))
	default:
		return nil
	}
}

// checksTimeout bounds all checks of one tenant together. Each has a shorter limit of its own.
const checksTimeout = 3 * time.Minute

// tenantTime is how much longer each of many tenants may take.
const tenantTime = time.Second

var errUnwell = errors.New("a check failed: do what its advice says, then run packhorse doctor again")

// examine runs `packhorse doctor`.
func examine(cmd *cobra.Command, o doctorOptions) (err error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), checksTimeout)
	defer cancel()
	e, err := o.examination(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.shut()) }()
	err = e.only(o.tenant)
	if err != nil {
		return usage(cmd, err)
	}
	ctx, cancel = context.WithTimeout(cmd.Context(), checksTimeout+time.Duration(len(e.groups))*tenantTime)
	defer cancel()
	told, done := func(doctor.Result) {}, func() {}
	lines := console.NewCheckupJSON(cmd.OutOrStdout(), time.Now)
	if terminal := terminalOf(cmd.ErrOrStderr()); o.json {
		told = lines.Told
	} else if terminal != nil && !isQuiet(cmd) {
		bar := console.NewCheckupBar(terminal, e.count())
		told, done = bar.Told, bar.Close
	}
	results := append(doctor.Run(ctx, e.shared, told), doctor.RunGroups(ctx, e.groups, told)...)
	done()
	checkup := console.Checkup{Results: results, EndedAt: time.Now()}
	if o.json {
		err = lines.Summary(checkup)
	} else {
		err = checkup.Table(cmd.OutOrStdout(), styleOf(cmd, o.environ))
	}
	if err == nil && checkup.Failed() {
		err = errUnwell
	}
	return err
}

// styleOf says how to draw on standard output. See no-color.org.
func styleOf(cmd *cobra.Command, environ []string) console.Style {
	out := cmd.OutOrStdout()
	style := console.Style{Width: widthOf(out)}
	if terminalOf(out) != nil {
		style.Color = console.ColorFor(settings.Map(environ))
	}
	return style
}
