package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
)

// listOptions are the flags of `packhorse list`.
type listOptions struct {
	filter       investigation.Filter
	since, until string
	newestPair   bool
	data         string
	table        string
	tenant       string
	json         bool
}

func listCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List packages by host, requestor, case, state and time",
		Long: `List shows what the ledger recorded: which packages were requested, by whom, for which case, and the
outcome. It contacts neither Defender nor the archive; with the ledger in the data directory it works
offline.

--machine takes a machine id or a DNS name, with or without the domain. --since and --until take a
time (2026-03-04T05:06:07Z), a date (2026-03-04) or an age (72h), and compare it with the time of the
request. --newest-pair shows the two newest packages of one host, for comparing them.`,
		Example: `  packhorse list                                 everything
  packhorse list --machine fin-ws-17 --newest-pair
  packhorse list --case INC-4711 --json | jq -r .key
  packhorse list --state notCollected --since 72h
  packhorse list --ledger packhorse-ledger --tenant 7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.check(cmd, time.Now())
			if err != nil {
				return err
			}
			return listRecords(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.filter.Machine, "machine", "", "only packages of this host (machine `ID|NAME`)")
	flags.StringVar(&o.filter.Requestor, "requestor", "", "only packages requested by this `REQUESTOR`")
	flags.StringVar(&o.filter.Case, "case", "", "only packages of this `CASE`")
	flags.StringVar(&o.filter.State, "state", "",
		"only packages in this `STATE`: archived, notCollected, waiting, … or a reason")
	flags.StringVar(&o.since, "since", "", "only packages requested at this `TIME` or later")
	flags.StringVar(&o.until, "until", "", "only packages requested before this `TIME`")
	flags.BoolVar(&o.newestPair, "newest-pair", false, "only the two newest packages of the --machine host")
	flags.StringVar(&o.data, "data", datafolder.Default, "data directory `DIR`, which holds the ledger")
	flags.StringVar(&o.table, "ledger", "", "read this DynamoDB `TABLE` instead of the data directory")
	flags.StringVar(&o.tenant, "tenant", "", "only packages of the tenant with this `ID`")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line")
	return cmd
}

// check parses and validates the flags.
func (o *listOptions) check(cmd *cobra.Command, now time.Time) (err error) {
	o.tenant, err = tenantFlag(cmd, o.tenant)
	if err != nil {
		return err
	}
	if o.table != "" && o.tenant == "" {
		return usage(cmd, errors.New("--ledger requires --tenant"))
	}
	if o.newestPair && o.filter.Machine == "" {
		return usage(cmd, errors.New("--newest-pair requires --machine"))
	}
	if o.filter.State != "" {
		o.filter.State, err = records.ParseState(o.filter.State)
		if err != nil {
			return usage(cmd, fmt.Errorf("--state: %w", err))
		}
	}
	for _, flag := range []struct {
		name, text string
		to         *time.Time
	}{{"since", o.since, &o.filter.Since}, {"until", o.until, &o.filter.Until}} {
		if flag.text == "" {
			continue
		}
		*flag.to, err = records.ParseTime(flag.text, now)
		if err != nil {
			return usage(cmd, fmt.Errorf("--%s: %w", flag.name, err))
		}
	}
	return nil
}

// listRecords runs `packhorse list`. It lists every valid record that matches; its error names malformed ones.
func listRecords(cmd *cobra.Command, o listOptions) error {
	some, err := readLedger(cmd.Context(), o)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return err
	}
	return errors.Join(showRecords(cmd, some, o), err)
}

func readLedger(ctx context.Context, o listOptions) (_ []investigation.Record, err error) {
	ledger, err := evidence.OpenLedger(ctx, o.table, o.data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	filter := o.filter
	filter.TenantID = o.tenant
	return ledger.Find(ctx, filter)
}

func showRecords(cmd *cobra.Command, some []investigation.Record, o listOptions) (err error) {
	if o.newestPair {
		some, err = records.NewestPair(some)
		if err != nil {
			return err
		}
	}
	if o.json {
		return records.JSON(cmd.OutOrStdout(), some)
	}
	if len(some) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "packhorse: no matching packages in the ledger")
		return nil
	}
	return records.Table(cmd.OutOrStdout(), some)
}
