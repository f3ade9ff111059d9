package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/catalog"
	"packhorse/cmd/packhorse/source"
	"packhorse/internal/investigation"
)

// listOptions are the flags of `packhorse list`.
type listOptions struct {
	filter       catalog.Filter
	since, until string
	newestPair   bool
	data         string
	table        string
	tenant       string
	json         bool
}

func (m Main) listCommand() *cobra.Command {
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
			return m.list(cmd.Context(), o)
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
	flags.StringVar(&o.data, "data", dataDefault, "the data `DIR` with the ledger")
	flags.StringVar(&o.table, "ledger", "", "the ledger is this DynamoDB `TABLE`")
	flags.StringVar(&o.tenant, "tenant", "", "of this tenant, by its `ID`")
	flags.BoolVar(&o.json, "json", false, "write one JSON object a line")
	return cmd
}

// check reads the flags that are more than text.
func (o *listOptions) check(cmd *cobra.Command, now time.Time) (err error) {
	usage := func(err error) error { return &usageError{command: cmd.CommandPath(), err: err} }
	o.tenant, err = tenantFlag(cmd, o.tenant)
	if err != nil {
		return err
	}
	if o.table != "" && o.tenant == "" {
		return usage(errors.New("--ledger goes with --tenant"))
	}
	if o.newestPair && o.filter.Machine == "" {
		return usage(errors.New("--newest-pair goes with --machine"))
	}
	if o.filter.State != "" {
		o.filter.State, err = catalog.ParseState(o.filter.State)
		if err != nil {
			return usage(fmt.Errorf("--state: %w", err))
		}
	}
	for _, flag := range []struct {
		name, text string
		to         *time.Time
	}{{"since", o.since, &o.filter.Since}, {"until", o.until, &o.filter.Until}} {
		if flag.text == "" {
			continue
		}
		*flag.to, err = catalog.ParseTime(flag.text, now)
		if err != nil {
			return usage(fmt.Errorf("--%s: %w", flag.name, err))
		}
	}
	return nil
}

// list is one `packhorse list`. Records that make no sense are an error beside the list of all others.
func (m Main) list(ctx context.Context, o listOptions) error {
	records, err := o.records(ctx)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
		return err
	}
	return errors.Join(m.show(records, o), err)
}

func (m Main) show(records []investigation.Record, o listOptions) (err error) {
	records = catalog.Select(records, o.filter)
	if o.newestPair {
		records, err = catalog.NewestPair(records)
		if err != nil {
			return err
		}
	}
	if o.json {
		return catalog.JSON(m.Stdout, records)
	}
	if len(records) == 0 {
		fmt.Fprintln(m.Stderr, "packhorse: the ledger has nothing of the kind")
		return nil
	}
	return catalog.Table(m.Stdout, records)
}

// noLedgerError says that a data folder has no ledger.
type noLedgerError struct{ data string }

func (e *noLedgerError) Error() string { return fmt.Sprintf("there is no ledger in %s", e.data) }

// records reads the ledger. Beside an error that wraps investigation.ErrBadRecord it returns all records
// that make sense.
func (o listOptions) records(ctx context.Context) (_ []investigation.Record, err error) {
	e := &evidence{}
	defer func() { err = errors.Join(err, e.close()) }()
	err = (&evidenceOptions{ledger: o.table}).openLedger(ctx, e, o.data)
	if err != nil {
		return nil, err
	}
	if e.ledger == nil {
		return nil, &noLedgerError{o.data}
	}
	tenants := []string{o.tenant}
	if o.tenant == "" {
		tenants, err = e.ledger.Tenants(ctx)
		if err != nil {
			return nil, source.Explain(err)
		}
	}
	var all []investigation.Record
	var bad []error
	for _, tenant := range tenants {
		records, err := e.ledger.Records(ctx, tenant)
		if err != nil && !errors.Is(err, investigation.ErrBadRecord) {
			return nil, fmt.Errorf("read the records of tenant %s: %w", tenant, source.Explain(err))
		}
		all, bad = append(all, records...), append(bad, err)
	}
	return all, errors.Join(bad...)
}
