package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/export"
	"packhorse/cmd/packhorse/find"
	"packhorse/cmd/packhorse/take"
	"packhorse/internal/investigation"
	"packhorse/internal/verify"
)

// exportOptions are the flags of `packhorse export`.
type exportOptions struct {
	evidenceFlags

	names         []string // of packages
	filter        investigation.Filter
	since, until  string
	tenants       []string
	all           bool
	out           string
	includeFailed bool
	json          bool
}

func exportCommand(environ []string) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export [PACKAGE...] -o PATH",
		Short: "Copy packages into a folder or ZIP to hand over, with all it takes to check them",
		Long: `Export copies packages out of the archive into a new folder, or into a ZIP if PATH ends in .zip: each
package with its signed record and a custody report, the public keys, an index (HTML, CSV, JSON), and
CHECK.txt, which says how to check it all with openssl and sha256sum alone. Packages that were not
collected are there as the signed record of that.

Select packages by case, host, requestor or time, name them (by id, host, case or key), or pass --all.
What you name and what the flags say must both apply. Packages that are not stored yet are listed in
the index.

Everything is verified while it is copied, and PATH appears only when all of it is on disk. If a
package does not verify, nothing is exported; --include-failed puts it into the folder mismatch, with
what was found. If the packages belong to several tenants, nothing is exported unless you name each
with --tenant; each then has folders of its own. Nothing is ever overwritten.

The verdict and exit code are those of packhorse verify (see packhorse verify --help), for the
packages one by one: the chain of all records is not part of an export. On PARTIAL the export is
there: what could be checked agrees.`,
		Example: `  packhorse export --case INC-4711 -o INC-4711.zip
  packhorse export --machine fin-ws-17 --since 7d -o fin-ws-17
  packhorse export 3f2a81c0 95f6a217 -o two.zip --stack packhorse --pub key.pem
  packhorse export --all --tenant 7f1c2a44-0d5e-4b53-9a0e-3d1f6f0a9c11 -o /mnt/usb/all`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			now := time.Now()
			err := o.take(cmd, now)
			if err != nil {
				return err
			}
			return exportPackages(cmd, o, now, openVerifyScreen(cmd, environ, o.json))
		},
	}
	o.addAll(cmd)
	completeFor(cmd)
	return cmd
}

func (o *exportOptions) addAll(cmd *cobra.Command) {
	o.add(cmd)
	flags := cmd.Flags()
	_ = flags.MarkHidden("newest") // it exists; a host or case means all its packages here
	flags.StringVarP(&o.out, "output", "o", "", "make this folder or ZIP: a `PATH` that does not exist (required)")
	flags.StringVar(&o.filter.Machine, "machine", "", "only packages of this host (machine `ID|NAME`)")
	flags.StringVar(&o.filter.Requestor, "requestor", "", "only packages requested by this `REQUESTOR`")
	flags.StringVar(&o.filter.Case, "case", "", "only packages of this `CASE`")
	flags.StringVar(&o.since, "since", "", "only packages requested at this `TIME` or later (or an age: 36h, 7d, 2w)")
	flags.StringVar(&o.until, "until", "", "only packages requested before this `TIME`")
	flags.StringArrayVar(&o.tenants, "tenant", nil, "only packages of the tenant with this `ID|NAME` (repeatable)")
	flags.BoolVar(&o.all, "all", false, "everything in the archive")
	flags.BoolVar(&o.includeFailed, "include-failed", false,
		"also export packages that do not verify, in the folder mismatch, with what was found")
	flags.BoolVar(&o.json, "json", false, "write one JSON object per line to standard output")
}

var (
	errNoPath    = errors.New("name the folder or ZIP to make: -o PATH")
	errNoFilter  = errors.New("say what to export: name packages, select them with --case, --machine, --requestor, --since or --until, or pass --all")
	errNewest    = errors.New("--newest does not apply: export takes all packages of a host or case; name one by its id")
	errNoneFound = errors.New("no package matches: nothing was exported")
)

// take completes the options and rejects flags that contradict each other.
func (o *exportOptions) take(cmd *cobra.Command, now time.Time) (err error) {
	err = o.check(cmd)
	if err == nil {
		o.out, err = outputFlag(cmd, o.out, errNoPath)
	}
	if err != nil {
		return err
	}
	for i := range o.tenants {
		o.tenants[i], err = tenantFlag(cmd, o.tenants[i])
		if err != nil {
			return err
		}
	}
	selects := len(o.names) > 0 || o.filter != (investigation.Filter{}) || o.since != "" || o.until != ""
	switch {
	case o.newest:
		return usage(cmd, errNewest)
	case !selects && !o.all:
		return usage(cmd, errNoFilter)
	case selects && o.all:
		return usage(cmd, errors.New("--all excludes names and filters; --tenant may go with it"))
	}
	return timeFlags(cmd, now, o.since, o.until, &o.filter)
}

// exportPackages runs `packhorse export`.
func exportPackages(cmd *cobra.Command, o exportOptions, now time.Time, screen verifyScreen) error {
	defer screen.close()
	result, err := exportOnce(cmd, o, now, screen.reporter)
	screen.close()
	if err != nil {
		return err
	}
	if o.json {
		err = result.JSON(cmd.OutOrStdout(), o.out, time.Now())
	} else {
		err = result.Table(cmd.OutOrStdout(), o.out)
	}
	if err != nil {
		return err
	}
	if len(result.Index.Packages) == 0 {
		return nil // only what is not stored yet; the table says so
	}
	return verdictOf(result.Summary, o.required)
}

// exportOnce opens the evidence, exports from it and closes it.
func exportOnce(cmd *cobra.Command, o exportOptions, now time.Time, reporter verify.Reporter) (_ export.Result, err error) {
	ctx := cmd.Context()
	if len(o.tenants) == 1 {
		o.TenantID = o.tenants[0] // which may have a bucket of its own
	}
	err = o.Resolve(ctx)
	if err != nil {
		return export.Result{}, err
	}
	if len(o.tenants) == 0 && o.TenantID != "" {
		o.tenants = []string{o.TenantID} // of a stack that has one
	}
	e, err := evidence.Open(ctx, o.Options)
	if err != nil {
		return export.Result{}, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	some, err := o.pick(ctx, cmd, e)
	names := e.Names(ctx)
	if err == nil {
		err = export.CheckTenants(some, o.tenants, names)
	}
	if err != nil {
		return export.Result{}, err
	}
	if len(some) == 0 {
		return export.Result{}, errNoneFound
	}
	e.Remember()
	return export.Run(ctx, take.Source{Verify: e.VerifyThrough, PEM: e.PEM, Require: o.required}, some, export.Options{
		Path: o.out, At: now, Selected: o.words(), Tenants: names, IncludeFailed: o.includeFailed,
		Disk: take.OS{},
	}, reporter)
}

// pick returns the records that are named and match the filter, each once.
func (o exportOptions) pick(ctx context.Context, cmd *cobra.Command, e *evidence.Evidence) ([]investigation.Record, error) {
	filter := o.filter
	if len(o.tenants) == 1 {
		filter.TenantID = o.tenants[0]
	}
	if len(o.names) == 0 {
		all, err := e.Find(ctx, filter)
		return o.ofTenants(all), err
	}
	var some []investigation.Record
	for _, name := range o.names {
		named, err := e.Some(ctx, find.Query{Text: name, TenantID: filter.TenantID, Command: cmd.CommandPath()})
		if _, ok := errors.AsType[*evidence.NoSuchKeyError](err); ok {
			return nil, usage(cmd, err)
		}
		if err != nil {
			return nil, err
		}
		for _, rec := range o.ofTenants(named) {
			known := slices.ContainsFunc(some, func(r investigation.Record) bool { return r.ID == rec.ID })
			if filter.Matches(rec) && !known {
				some = append(some, rec)
			}
		}
	}
	return some, nil
}

// ofTenants leaves out what is of tenants that were not named, if any was.
func (o exportOptions) ofTenants(records []investigation.Record) []investigation.Record {
	if len(o.tenants) == 0 {
		return records
	}
	return slices.DeleteFunc(records, func(rec investigation.Record) bool { return !slices.Contains(o.tenants, rec.TenantID) })
}

// words says what was selected.
func (o exportOptions) words() string {
	parts := slices.Clone(o.names)
	for _, f := range []struct{ name, text string }{
		{"case", o.filter.Case}, {"host", o.filter.Machine}, {"requestor", o.filter.Requestor},
		{"requested since", stamp(o.filter.Since)}, {"requested before", stamp(o.filter.Until)},
	} {
		if f.text != "" {
			parts = append(parts, f.name+" "+f.text)
		}
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, ", ")
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
