package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/evidence"
	"packhorse/cmd/packhorse/find"
	"packhorse/cmd/packhorse/records"
	"packhorse/internal/investigation"
)

const (
	// completedMax is how many values of one kind the shell offers.
	completedMax = 20
	// completionTime ends a completion that takes long, such as one that reads a table in AWS.
	completionTime = 2 * time.Second
)

// completion completes what a person types from the ledger that the flags on the line name. It never creates
// or changes anything, and says nothing about errors: a shell would show them in the middle of the line.
type completion func(ctx context.Context, ledger *evidence.Ledger, tenantID, typed string) []cobra.Completion

// complete makes c a function for cobra.
func complete(c completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(contextOf(cmd)), completionTime)
		defer cancel()
		ledger, tenantID := ledgerOnLine(ctx, cmd)
		if ledger == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer func() { _ = ledger.Close() }() // read only
		return c(ctx, ledger, tenantID, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// ledgerOnLine opens the ledger that the line names, or returns nil.
func ledgerOnLine(ctx context.Context, cmd *cobra.Command) (*evidence.Ledger, string) {
	flag := func(name string) string {
		f := cmd.Flags().Lookup(name)
		switch {
		case f == nil:
			return ""
		case f.Value.Type() == "stringArray": // export takes several tenants: the first one will do
			if all, err := cmd.Flags().GetStringArray(name); err == nil && len(all) > 0 {
				return all[0]
			}
			return ""
		default:
			return f.Value.String()
		}
	}
	o := evidence.Options{Data: flag("data"), Table: flag("ledger"), Stack: flag("stack"), TenantID: flag("tenant")}
	err := o.Resolve(ctx)
	if err != nil {
		return nil, ""
	}
	ledger, err := o.OpenLedger(ctx)
	if err != nil {
		return nil, ""
	}
	return ledger, ledger.TenantID(ctx, o.TenantID)
}

// completePackage completes an argument that names a package, or the path of a file of the archive.
func completePackage(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case len(args) > 0:
		return nil, cobra.ShellCompDirectiveNoFileComp
	case strings.ContainsAny(typed, `/\`) || strings.HasPrefix(typed, "."):
		return nil, cobra.ShellCompDirectiveDefault
	}
	return complete(func(ctx context.Context, ledger *evidence.Ledger, tenantID, typed string) []cobra.Completion {
		all := ids(ctx, ledger, tenantID, typed)
		for _, field := range []investigation.Field{investigation.FieldHost, investigation.FieldCase} {
			all = append(all, values(field)(ctx, ledger, tenantID, typed)...)
		}
		return all
	})(cmd, args, typed)
}

// ids offers the newest actions that begin so, by their short ids.
func ids(ctx context.Context, ledger *evidence.Ledger, tenantID, typed string) []cobra.Completion {
	found, _ := ledger.Find(ctx, investigation.Filter{TenantID: tenantID, ActionID: typed, Limit: completedMax})
	short := find.ShortIDs(found)
	all := make([]cobra.Completion, len(found))
	for i, rec := range found {
		id := short[i]
		if len(id) < len(typed) {
			id = rec.ActionID
		}
		all[i] = cobra.CompletionWithDesc(id, about(rec, investigation.FieldAction))
	}
	return all
}

// about describes a record in a line, for people who see the value of the field.
func about(rec investigation.Record, seen investigation.Field) string {
	text := rec.CreatedAt.UTC().Format(console.Minute) + ", " + records.StateWord(rec)
	if seen == investigation.FieldHost {
		return text
	}
	return console.Host(rec.Action) + ", " + text
}

// harmless matches text that means the same to every shell, apart from its spaces, which completions quote. Hosts
// and cases are hostile text, and a person may press Enter before reading what the shell has put on the line.
var harmless = regexp.MustCompile(`^[\p{L}\p{N}_@%+:,./][\p{L}\p{N}_@%+=:,./ -]*$`)

// values offers the values of a field, but only harmless ones.
func values(field investigation.Field) completion {
	return func(ctx context.Context, ledger *evidence.Ledger, tenantID, typed string) []cobra.Completion {
		found, _ := ledger.Values(ctx, investigation.Beginning{
			TenantID: tenantID, Field: field, Text: typed, Limit: completedMax,
		})
		var all []cobra.Completion
		for _, value := range found {
			if harmless.MatchString(value.Text) {
				all = append(all, cobra.CompletionWithDesc(value.Text, "newest: "+about(value.Newest, field)))
			}
		}
		return all
	}
}

// tenants offers the tenants in the ledger and in its registry, whichever the line names: by the names that begin so,
// and by the ids.
func tenants(ctx context.Context, ledger *evidence.Ledger, _, typed string) []cobra.Completion {
	names := ledger.Names(ctx)
	ids, _ := ledger.TenantIDs(ctx)
	for id := range names {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var byName, byID []cobra.Completion
	begin := investigation.Fold(typed)
	for _, id := range ids {
		name := names[id]
		if name != "" && harmless.MatchString(name) && strings.HasPrefix(investigation.Fold(name), begin) {
			byName = append(byName, cobra.CompletionWithDesc(name, id))
		}
		if !strings.HasPrefix(id, begin) {
			continue
		}
		if name == "" {
			byID = append(byID, id)
		} else {
			byID = append(byID, cobra.CompletionWithDesc(id, console.CleanLine(name)))
		}
	}
	slices.Sort(byName)
	return append(byName, byID...)
}

// completeFor completes the argument of a command that takes a package, and the flags that it has of those with
// known values. Call it after the flags are defined.
func completeFor(cmd *cobra.Command) {
	cmd.ValidArgsFunction = completePackage
	for name, c := range map[string]cobra.CompletionFunc{
		"machine":   complete(values(investigation.FieldHost)),
		"requestor": complete(values(investigation.FieldRequestor)),
		"case":      complete(values(investigation.FieldCase)),
		"tenant":    complete(tenants),
		"state":     cobra.FixedCompletions(records.States(), cobra.ShellCompDirectiveNoFileComp),
		"require":   cobra.FixedCompletions(append([]string{"all"}, checkNames()...), cobra.ShellCompDirectiveNoFileComp),
	} {
		if cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, c) // fails only if called twice
		}
	}
}
