package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/contents"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

// showOptions are the flags of `packhorse show`.
type showOptions struct {
	evidenceFlags

	name   string // of the package
	member string // the file of the package to write; empty: describe the package
	force  bool
	limit  int
	json   bool
}

func showCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show PACKAGE [FILE]",
		Short: "Show what is known of one package and what is in it, or write one of its files",
		Long: `Show describes one package: who requested it and why, what became of it, where it is stored, and the
files in it. With FILE, it writes that one file to standard output instead. Nothing is unpacked to
disk, and no more of the package is read than the list of its files and the one asked for.

PACKAGE is an action id or its beginning, a host, a case, or the key, s3:// URL or path of a file in
the archive. Without a ledger, only keys, URLs and paths are found, and the facts come from the
package's manifest.

FILE is a path in the package, the end of one (autoruns.csv), a pattern ('*.evtx'), or the number in
the list ('#3'). Its CRC-32 is checked at the end: on exit code 1, discard what was written. Anything
but plain text is kept from a terminal unless you pass --force. Treat files as hostile.

Show does not verify: it reads neither the whole package nor a signature. packhorse verify PACKAGE
checks the SHA-256, the signature and the chain.`,
		Example: `  packhorse show 3f2a81c0
  packhorse show fin-ws-17 --newest
  packhorse show 3f2a81c0 autoruns.csv | less
  packhorse show 3f2a81c0 '*/SecurityEventLog.evtx' > security.evtx
  packhorse show packages/TENANT/MACHINE/TIME_ACTION.zip --from /mnt/copy
  packhorse show 3f2a81c0 --stack packhorse`,
		Args: usageArgs(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			err := o.take(cmd, args[1:])
			if err != nil {
				return err
			}
			return showPackage(cmd, o)
		},
	}
	o.addPlaces(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.TenantID, "tenant", "", "find only packages of the tenant with this `ID|NAME`")
	flags.StringVar(&o.member, "member", "", "write this `FILE` of the package to standard output; like the argument FILE")
	flags.BoolVar(&o.force, "force", false, "write the file to a terminal even if it is not plain text")
	flags.IntVar(&o.limit, "limit", 0, "list at most `N` files; 0 means all (default: 40 on a terminal, all in a pipe)")
	flags.BoolVar(&o.json, "json", false, "write one JSON object, with all files")
	completeFor(cmd)
	return cmd
}

// filesLimit is how many files show lists on a terminal unless told otherwise.
const filesLimit = 40

// take completes the options and rejects flags that contradict each other.
func (o *showOptions) take(cmd *cobra.Command, member []string) (err error) {
	err = o.check(cmd)
	if err == nil {
		o.TenantID, err = tenantFlag(cmd, o.TenantID)
	}
	switch {
	case err != nil:
		return err
	case len(member) > 0 && o.member != "":
		return usage(cmd, errors.New("FILE and --member are mutually exclusive"))
	case len(member) > 0:
		o.member = member[0]
	}
	switch {
	case o.member != "" && o.json:
		return usage(cmd, errors.New("--json describes the package: leave out FILE"))
	case o.limit < 0:
		return usage(cmd, errors.New("--limit: write a number, or 0 for all"))
	case !cmd.Flags().Changed("limit") && terminalOf(cmd.OutOrStdout()) != nil:
		o.limit = filesLimit
	}
	return nil
}

// shown is the package to show.
type shown struct {
	rec    investigation.Record
	source string            // who knows it
	opened *evidence.Archive // nil if it was not needed
}

// showPackage runs `packhorse show`.
func showPackage(cmd *cobra.Command, o showOptions) (err error) {
	ctx := cmd.Context()
	err = o.Resolve(ctx)
	if err != nil {
		return err
	}
	p, err := o.find(cmd)
	if archive := p.opened; archive != nil {
		defer func() { err = errors.Join(err, archive.Close()) }()
	}
	if err != nil {
		return err
	}
	if p.rec.Receipt.Key == "" {
		if o.member != "" {
			return &evidence.NoPackageError{Record: p.rec}
		}
		return describe(cmd, o, p, nil)
	}
	if p.opened == nil {
		p.opened, err = evidence.OpenArchive(ctx, o.Options)
		if err != nil {
			return errors.Join(describeUnlessMember(cmd, o, p), err)
		}
		defer func() { err = errors.Join(err, p.opened.Close()) }()
	}
	object, err := p.opened.Object(ctx, p.rec.Receipt)
	if err != nil {
		return errors.Join(describeUnlessMember(cmd, o, p), err)
	}
	d, err := zipinspect.ReadDirectory(object.Range(ctx), object.Size)
	if err != nil {
		return errors.Join(describeUnlessMember(cmd, o, p), object.Check(p.rec.Receipt), err)
	}
	if o.member != "" {
		err = writeMember(cmd, o, d, object)
	} else {
		err = describe(cmd, o, p, &d)
	}
	return errors.Join(err, object.Check(p.rec.Receipt))
}

// describeUnlessMember describes a package that cannot be read, unless a file of it was asked for.
func describeUnlessMember(cmd *cobra.Command, o showOptions, p shown) error {
	if o.member != "" {
		return nil
	}
	return describe(cmd, o, p, nil)
}

// find finds the package in the ledger or, without one, in the archive.
func (o showOptions) find(cmd *cobra.Command) (shown, error) {
	ctx := cmd.Context()
	rec, source, err := o.inLedger(cmd)
	if err == nil && source != "" {
		return shown{rec: rec, source: source}, nil
	}
	_, isKey := find.ActionOf(o.name)
	if err != nil && (!isNotFound(err) || !isKey) {
		return shown{}, err
	}
	archive, openErr := evidence.OpenArchive(ctx, o.Options)
	if openErr != nil {
		return shown{}, errors.Join(err, openErr)
	}
	p := shown{opened: archive}
	key, ok := archive.Key(o.name)
	if !ok {
		return p, usage(cmd, &evidence.NoSuchKeyError{Text: o.name})
	}
	err = evidence.CheckTenant(key, o.TenantID)
	if err != nil {
		return p, err
	}
	p.rec, err = archive.Record(ctx, key)
	p.source = "its manifest in " + archive.Where(ctx) + ", whose signature was not checked"
	return p, err
}

// inLedger returns the record and the ledger's name, which is empty if there is no ledger.
func (o showOptions) inLedger(cmd *cobra.Command) (rec investigation.Record, name string, err error) {
	if o.Table == "" && o.From != "" && !o.DataGiven {
		return rec, "", nil
	}
	ledger, err := o.OpenLedger(cmd.Context())
	if _, none := errors.AsType[*evidence.NoLedgerError](err); none {
		return rec, "", nil
	}
	if err != nil {
		return rec, "", err
	}
	defer func() { err = errors.Join(err, ledger.Close()) }()
	rec, err = ledger.One(cmd.Context(), find.Query{
		Text: o.name, TenantID: o.TenantID, Newest: o.newest, Command: cmd.CommandPath(),
	})
	return rec, "the ledger " + ledger.Name, err
}

// describe writes what is known and, unless d is nil, what is in the package.
func describe(cmd *cobra.Command, o showOptions, p shown, d *zipinspect.Directory) error {
	out, now := cmd.OutOrStdout(), time.Now()
	switch {
	case o.json && d == nil:
		return records.PackageJSON(out, p.rec, now, nil)
	case o.json:
		return records.PackageJSON(out, p.rec, now, contents.NewListing(*d))
	}
	err := records.Detail(out, p.rec, p.source, now)
	if err != nil || d == nil {
		return err
	}
	_, err = fmt.Fprintln(out)
	if err != nil {
		return err
	}
	return contents.Table(out, *d, o.limit, widthOf(out))
}

// writeMember writes one file of the package to standard output.
func writeMember(cmd *cobra.Command, o showOptions, d zipinspect.Directory, object evidence.Object) error {
	i, err := contents.Find(d.Members, o.member)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	closed := func() error { return nil }
	if terminalOf(out) != nil && !o.force {
		text := console.NewTextWriter(out)
		out, closed = text, text.Close
	}
	err = copyMember(cmd.Context(), out, d, object, d.Members[i])
	return errors.Join(err, closed())
}

func copyMember(ctx context.Context, out io.Writer, d zipinspect.Directory, object evidence.Object,
	m zipinspect.Member,
) error {
	err := d.Copy(out, object.Range(ctx), m)
	if err != nil {
		return fmt.Errorf("write %s: %w", console.CleanLine(m.Name), err)
	}
	return nil
}
