package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/cmd/packhorse/cloud"
	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/embedded"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/stack"
	"packhorse/internal/doctor"
	"packhorse/internal/ratelimit"
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
makes one list call.

Each check is ok, warning, failed or skipped; a skipped check says why, and proves nothing. Exit codes:

  0  nothing failed (there may be warnings)
  1  a check failed
  2  invalid command line`,
		Example: `  packhorse doctor                               this machine, its tenant and data folder
  packhorse doctor --stack packhorse             a deployed stack
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
	flags.StringVar(&o.tenant, "tenant", "", "look at the tenant with this `ID` only")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line")
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

// checksTimeout bounds all checks together. Each has a shorter limit of its own.
const checksTimeout = 3 * time.Minute

var errUnwell = errors.New("a check failed: do what its advice says, then run packhorse doctor again")

// examine runs `packhorse doctor`.
func examine(cmd *cobra.Command, o doctorOptions) (err error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), checksTimeout)
	defer cancel()
	checks, tenantID, shut, err := o.checks(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shut()) }()
	if o.tenant != "" && tenantID != "" && o.tenant != tenantID {
		return usage(cmd, fmt.Errorf("--tenant %s: the settings are those of tenant %s", o.tenant, tenantID))
	}
	told, done := func(doctor.Result) {}, func() {}
	lines := console.NewCheckupJSON(cmd.OutOrStdout(), time.Now)
	if terminal := terminalOf(cmd.ErrOrStderr()); o.json {
		told = lines.Told
	} else if terminal != nil && !isQuiet(cmd) {
		bar := console.NewCheckupBar(terminal, len(checks))
		told, done = bar.Told, bar.Close
	}
	results := doctor.Run(ctx, checks, told)
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

// checks returns the checks of a stack or of this machine, the tenant that is set there, and what closes that
// afterwards.
func (o doctorOptions) checks(ctx context.Context) (_ []doctor.Check, tenantID string, shut func() error, _ error) {
	if o.stack == "" {
		return o.onMachine()
	}
	s, err := stack.Open(ctx, o.stack)
	if err != nil {
		return nil, "", nil, err
	}
	c := cloud.Open(ctx, s, time.Now)
	tenant := checkup.Tenant{
		Environ: c.Variables(), Now: time.Now, Parse: settings.ParsePoll, Set: c.Set, Foreign: true,
		AWS: func(context.Context) (aws.Config, error) { return s.AWS, nil },
		Ledger: func(ctx context.Context) (checkup.Ledger, error) {
			return evidence.OpenLedger(ctx, s.Outputs[stack.OutputLedger], "")
		},
		Lists: func(context.Context) (ratelimit.Counter, error) { return ratelimit.NewMemory(), nil },
	}
	return append(doctor.Stack(c.Ports()), doctor.Tenant(tenant.Ports())...), s.TenantID(), func() error { return nil }, nil
}

func (o doctorOptions) onMachine() (_ []doctor.Check, tenantID string, shut func() error, _ error) {
	data, err := filepath.Abs(o.data) // the embedded S3 server changes the working directory
	if err != nil {
		return nil, "", nil, fmt.Errorf("resolve the data folder: %w", err)
	}
	m := &checkup.Machine{
		Environ: o.environ, Now: time.Now, Free: embedded.FreeBytes,
		Want: doctor.MachineWanted{Data: data, Bucket: o.bucket, Endpoint: o.endpoint},
	}
	tenant := m.Tenant()
	return append(doctor.Tenant(tenant), doctor.Machine(m.Ports())...), tenant.Settings().Tenant, m.Close, nil
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
