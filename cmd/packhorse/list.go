package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
)

// listOptions are the flags of `packhorse list`.
type listOptions struct {
	filter       investigation.Filter
	name         string // what the argument says to find
	since, until string
	newestPair   bool
	from         evidence.Options // only its ledger is opened
	limit        int
	json         bool
	keys, wide   bool
}

func listCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list [PACKAGE]",
		Short: "List packages by host, requestor, case, state and time",
		Long: `List shows what the ledger recorded, newest first: which packages were requested, by whom, for which
case, and the outcome. It contacts neither Defender nor the archive; with the ledger in the data
directory it works offline.

PACKAGE limits it to what has that name: an action id or its beginning, a host, a case, or an archive
key. --machine takes a machine id or a DNS name, with or without the domain. --since and --until take
a time (2026-03-04T05:06:07Z), a date (2026-03-04) or an age (36h, 7d, 2w), and compare it with the
time of the request. --newest-pair shows the two newest packages of one host, for comparing them.

STATE is archived, the reason why there is no package, or the state of one that is still to come; NOTE
says more. If the packages are of several tenants, TENANT says whose each is. On a terminal, list shows 50 packages and fits them to its width; --limit 0 shows all. In a
pipe, it shows all of them, and shortens only what is wider than 40 columns. Times are in UTC.`,
		Example: `  packhorse list                                 the newest packages
  packhorse list fin-ws-17                       of a host (or a case, or an id)
  packhorse list --machine fin-ws-17 --newest-pair
  packhorse list --case INC-4711 --keys
  packhorse list --state notCollected --since 7d
  packhorse list --json --limit 0 | jq -r 'select(.outcome == "archived") | .sha256'
  packhorse list --stack packhorse               from a deployed stack`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.name = args[0]
			}
			now := time.Now()
			err := o.check(cmd, now)
			if err != nil {
				return err
			}
			return listRecords(cmd, o, now)
		},
	}
	o.add(cmd)
	completeFor(cmd)
	return cmd
}

func (o *listOptions) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.filter.Machine, "machine", "", "only packages of this host (machine `ID|NAME`)")
	flags.StringVar(&o.filter.Requestor, "requestor", "", "only packages requested by this `REQUESTOR`")
	flags.StringVar(&o.filter.Case, "case", "", "only packages of this `CASE`")
	flags.StringVar(&o.filter.State, "state", "",
		"only packages in this `STATE`: archived, notCollected, waiting, … or a reason")
	flags.StringVar(&o.since, "since", "", "only packages requested at this `TIME` or later (or an age: 36h, 7d, 2w)")
	flags.StringVar(&o.until, "until", "", "only packages requested before this `TIME`")
	flags.IntVar(&o.limit, "limit", 0, "show at most the `N` newest; 0 means all (default: 50 on a terminal, all in a pipe)")
	flags.BoolVar(&o.newestPair, "newest-pair", false, "only the two newest packages of the --machine host")
	flags.StringVar(&o.from.Data, "data", datafolder.Default, "data directory `DIR`, which holds the ledger")
	flags.StringVar(&o.from.Table, "ledger", "", "read this DynamoDB `TABLE` instead of the data directory")
	flags.StringVar(&o.from.Stack, "stack", "", "read the ledger of the deployed stack with this `NAME`")
	flags.StringVar(&o.filter.TenantID, "tenant", "", "only packages of the tenant with this `ID|NAME`")
	flags.BoolVar(&o.wide, "wide", false, "show whole ids, hashes and keys")
	flags.BoolVar(&o.keys, "keys", false, "show only the archive keys, one a line")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line")
}

// check parses and validates the flags.
func (o *listOptions) check(cmd *cobra.Command, now time.Time) (err error) {
	o.filter.TenantID, err = tenantFlag(cmd, o.filter.TenantID)
	switch {
	case err != nil:
		return err
	case o.from.Table != "" && o.filter.TenantID == "":
		return usage(cmd, errors.New("--ledger requires --tenant"))
	case o.newestPair && o.filter.Machine == "":
		return usage(cmd, errors.New("--newest-pair requires --machine"))
	case o.newestPair && o.limit != 0:
		return usage(cmd, errors.New("--newest-pair excludes --limit"))
	case o.limit < 0:
		return usage(cmd, errors.New("--limit: write a number, or 0 for all"))
	case o.json && o.keys || o.json && o.wide || o.keys && o.wide:
		return usage(cmd, errors.New("--json, --keys and --wide are mutually exclusive"))
	case o.from.Stack != "" && (o.from.Table != "" || cmd.Flags().Changed("data")):
		return usage(cmd, errors.New("--stack excludes --ledger and --data"))
	}
	err = o.parse(cmd, now)
	isTable := !o.json && !o.keys && !o.newestPair
	if isTable && !cmd.Flags().Changed("limit") && terminalOf(cmd.OutOrStdout()) != nil {
		o.limit = screenLimit
	}
	return err
}

// parse parses the state and the times.
func (o *listOptions) parse(cmd *cobra.Command, now time.Time) (err error) {
	if o.filter.State != "" {
		o.filter.State, err = records.ParseState(o.filter.State)
		if err != nil {
			return usage(cmd, fmt.Errorf("--state: %w", err))
		}
	}
	return timeFlags(cmd, now, o.since, o.until, &o.filter)
}

// screenLimit is how many packages list shows on a terminal unless told otherwise.
const screenLimit = 50

// listRecords runs `packhorse list`. It lists every valid record that matches; its error names malformed ones.
func listRecords(cmd *cobra.Command, o listOptions, now time.Time) error {
	some, names, err := readLedger(cmd.Context(), o)
	if err != nil && !errors.Is(err, investigation.ErrBadRecord) || isNotFound(err) {
		return err
	}
	return errors.Join(showRecords(cmd, some, names, o, now), err)
}

// isNotFound reports whether err says that the ledger has nothing of a name.
func isNotFound(err error) bool {
	_, ok := errors.AsType[*find.NotFoundError](err)
	return ok
}

// countedMax bounds how many packages are counted beyond those that are shown.
const countedMax = 2_000

// readLedger returns the records to show and, if there are more, up to countedMax of those. If they are of several
// tenants, it also returns what those are called, by id.
func readLedger(ctx context.Context, o listOptions) (_ []investigation.Record, names map[string]string, err error) {
	o.from.TenantID = o.filter.TenantID
	err = o.from.Resolve(ctx)
	if err != nil {
		return nil, nil, err
	}
	o.filter.TenantID = o.from.TenantID
	ledger, err := o.from.OpenLedger(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	some, err := o.find(ctx, ledger)
	if find.SeveralTenants(some) {
		names = ledger.Names(ctx)
	}
	return some, names, err
}

// find returns what is to be listed of the ledger.
func (o listOptions) find(ctx context.Context, ledger *evidence.Ledger) ([]investigation.Record, error) {
	if o.name != "" {
		found, err := find.All(ctx, ledger, find.Query{
			Text: o.name, TenantID: o.filter.TenantID, Where: ledger.Name,
		})
		return o.filter.Select(found), err
	}
	if o.limit > 0 {
		o.filter.Limit = o.limit + countedMax
	}
	return ledger.Find(ctx, o.filter)
}

func showRecords(cmd *cobra.Command, some []investigation.Record, names map[string]string, o listOptions, now time.Time) (err error) {
	if o.newestPair {
		some, err = records.NewestPair(some)
		if err != nil {
			return err
		}
	}
	more := 0
	if o.limit > 0 && len(some) > o.limit {
		some, more = some[:o.limit], len(some)-o.limit
	}
	out := cmd.OutOrStdout()
	switch {
	case o.json:
		return records.JSON(out, some, now)
	case o.keys:
		return records.Keys(out, some)
	case len(some) == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "packhorse: no matching packages in the ledger")
		return nil
	}
	err = records.Table(out, some, records.Layout{Width: widthOf(out), Wide: o.wide, Now: now, Tenants: names})
	if err == nil && more > 0 {
		_, err = fmt.Fprintln(out, records.More(more, countedMax))
	}
	return err
}
