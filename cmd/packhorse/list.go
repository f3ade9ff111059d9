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
	filter       records.Filter
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
		Long: `List shows what the ledger knows: what was asked for, by whom, for which case, and what came of it.
It asks neither Defender nor the archive, and for the data folder's ledger it needs no network.

--machine takes a machine id or a DNS name, with or without its domain. --since and --until take a
time (2026-03-04T05:06:07Z), a date (2026-03-04), or how long ago it is (72h); they are about when a
package was asked for. --newest-pair gives the two newest packages of one host, to be compared.`,
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
	flags.StringVar(&o.filter.Machine, "machine", "", "of this host: a machine `ID|NAME`")
	flags.StringVar(&o.filter.Requestor, "requestor", "", "asked for by this `REQUESTOR`")
	flags.StringVar(&o.filter.Case, "case", "", "of this `CASE`")
	flags.StringVar(&o.filter.State, "state", "", "in this `STATE`: archived, notCollected, waiting, … or a reason")
	flags.StringVar(&o.since, "since", "", "asked for at this `TIME` or later")
	flags.StringVar(&o.until, "until", "", "asked for before this `TIME`")
	flags.BoolVar(&o.newestPair, "newest-pair", false, "the two newest packages of the host of --machine")
	flags.StringVar(&o.data, "data", datafolder.Default, "the data `DIR` with the ledger")
	flags.StringVar(&o.table, "ledger", "", "the ledger is this DynamoDB `TABLE`")
	flags.StringVar(&o.tenant, "tenant", "", "of this tenant, by its `ID`")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line")
	return cmd
}

// check reads the flags that are more than text.
func (o *listOptions) check(cmd *cobra.Command, now time.Time) (err error) {
	o.tenant, err = tenantFlag(cmd, o.tenant)
	if err != nil {
		return err
	}
	if o.table != "" && o.tenant == "" {
		return usage(cmd, errors.New("--ledger goes with --tenant"))
	}
	if o.newestPair && o.filter.Machine == "" {
		return usage(cmd, errors.New("--newest-pair goes with --machine"))
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

// listRecords is one `packhorse list`. Records that make no sense are an error beside the list of all others.
func listRecords(cmd *cobra.Command, o listOptions) error {
	all, err := readLedger(cmd.Context(), o)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return err
	}
	return errors.Join(showRecords(cmd, all, o), err)
}

func readLedger(ctx context.Context, o listOptions) (_ []investigation.Record, err error) {
	ledger, err := evidence.OpenLedger(ctx, o.table, o.data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	return ledger.All(ctx, o.tenant)
}

func showRecords(cmd *cobra.Command, all []investigation.Record, o listOptions) (err error) {
	some := records.Select(all, o.filter)
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
		fmt.Fprintln(cmd.ErrOrStderr(), "packhorse: the ledger has nothing of the kind")
		return nil
	}
	return records.Table(cmd.OutOrStdout(), some)
}
