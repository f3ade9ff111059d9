package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/datafolder"
	"packhorse/cmd/packhorse/enroll"
	"packhorse/internal/settings"
	"packhorse/internal/tenant"
)

// tenantFlags say which registry of tenants is meant.
type tenantFlags struct {
	enroll.Options

	json bool
}

func tenantCommand(environ []string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tenant",
		Short: "Register the tenants that are served, and see how each is doing",
		Long: `Tenant manages the registry of tenants: of the data directory, or of a stack that was deployed with
ManyTenants=true. The tenant in a stack's parameters, or in the environment of packhorse run, needs no entry.

A change takes effect within a minute, without a deployment. docs/tenants.md leads from nothing to the second
customer.`,
		Example: `  packhorse tenant add TENANT_ID --name Contoso --stack packhorse
  packhorse tenant list --stack packhorse`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tenantAddCommand(environ), tenantListCommand(environ), tenantShowCommand(environ),
		tenantSuspendCommand(environ), tenantResumeCommand(environ), tenantRemoveCommand(environ),
		tenantConsentCommand(environ))
	return cmd
}

func newTenantFlags(environ []string) tenantFlags {
	return tenantFlags{Options: enroll.Options{Environ: settings.Map(environ)}}
}

func (f *tenantFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Data, "data", datafolder.Default, "data directory `DIR`, which holds the registry")
	flags.StringVar(&f.Stack, "stack", "", "use the registry of the deployed stack with this `NAME`")
	flags.StringVar(&f.Table, "tenants", "", "use the registry in this DynamoDB `TABLE`")
	flags.StringVar(&f.Ledger, "ledger", "", "with --tenants, the DynamoDB `TABLE` of the ledger that belongs to it")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
}

// check rejects flags that contradict each other.
func (f *tenantFlags) check(cmd *cobra.Command) error {
	given := 0
	for _, name := range []string{"data", "stack", "tenants"} {
		if cmd.Flags().Changed(name) {
			given++
		}
	}
	switch {
	case given > 1:
		return usage(cmd, errors.New("--data, --stack and --tenants are mutually exclusive"))
	case f.Ledger != "" && f.Table == "":
		return usage(cmd, errors.New("--ledger requires --tenants"))
	default:
		return nil
	}
}

// open checks the flags, opens the registry and calls the function with it.
func (f *tenantFlags) open(cmd *cobra.Command, work func(context.Context, *enroll.Place) error) error {
	err := f.check(cmd)
	if err != nil {
		return err
	}
	return inPlace(cmd, at(f.Options), work)
}

// opening opens a registry.
type opening func(context.Context) (*enroll.Place, error)

func at(o enroll.Options) opening {
	return func(ctx context.Context) (*enroll.Place, error) { return enroll.Open(ctx, o) }
}

// inPlace opens a registry, calls the function with it, and closes it.
func inPlace(cmd *cobra.Command, open opening, work func(context.Context, *enroll.Place) error) (err error) {
	place, err := open(cmd.Context())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	return work(cmd.Context(), place)
}

func tenantSuspendCommand(environ []string) *cobra.Command {
	return tenantStateCommand(environ, "suspend", "Stop working for a tenant, and keep its entry",
		`Suspend makes Packhorse leave a tenant alone: within a minute, no call is made for it any more. A package that
is being downloaded is finished. Evidence, ledger and entry stay; packhorse tenant resume continues. Actions that
Defender forgets in the meantime (after the look-back) are lost.`,
		tenant.Tenant.Suspended)
}

func tenantResumeCommand(environ []string) *cobra.Command {
	return tenantStateCommand(environ, "resume", "Work for a suspended tenant again",
		`Resume makes Packhorse work for a tenant again that was suspended. The first sweep, within a minute, lists the
whole look-back.`,
		tenant.Tenant.Resumed)
}

// tenantStateCommand is a command that changes the state of a tenant.
func tenantStateCommand(environ []string, verb, short, long string,
	change func(tenant.Tenant, time.Time) tenant.Tenant,
) *cobra.Command {
	f := newTenantFlags(environ)
	cmd := &cobra.Command{
		Use: verb + " TENANT", Short: short, Long: long + "\n\nTENANT is an id or a registered name.",
		Example: "  packhorse tenant " + verb + " Contoso --stack packhorse",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd, func(ctx context.Context, place *enroll.Place) error {
				entry, err := place.Find(ctx, args[0])
				if err != nil {
					return err
				}
				next := change(entry, time.Now())
				if next == entry {
					return say(cmd, "%s is %s already\n", titleOf(entry), entry.State)
				}
				next, err = place.Registry.Put(ctx, next)
				if err != nil {
					return conflicted(err)
				}
				return say(cmd, "%s is %s now; this takes effect within a minute\n", titleOf(next), next.State)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func tenantRemoveCommand(environ []string) *cobra.Command {
	f := newTenantFlags(environ)
	var force bool
	cmd := &cobra.Command{
		Use:   "remove TENANT",
		Short: "Remove a tenant from the registry; its evidence stays",
		Long: `Remove deletes a tenant's entry. It refuses while an action of the tenant is not concluded, unless you pass
--force. Nothing of the evidence, the ledger or the budget is deleted.

TENANT is an id or a registered name.`,
		Example: `  packhorse tenant remove Contoso --stack packhorse`,
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd, func(ctx context.Context, place *enroll.Place) error {
				entry, err := place.Find(ctx, args[0])
				if err != nil {
					return err
				}
				err = place.Remove(ctx, entry, force)
				if err != nil {
					return conflicted(err)
				}
				err = say(cmd, "%s is no longer registered in %s\n", titleOf(entry), place.Name)
				return errors.Join(err, sayOrphan(ctx, cmd, place, entry, tenant.Tenant{}))
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "remove it even if some of its actions are not concluded")
	return cmd
}

func tenantConsentCommand(environ []string) *cobra.Command {
	f := newTenantFlags(environ)
	var redirect string
	var check bool
	cmd := &cobra.Command{
		Use:   "consent TENANT",
		Short: "Print the link that a tenant's administrator opens to consent to the app",
		Long: `Consent prints the link with which an administrator of the tenant consents to the permissions of the app
registration. Until then, Entra ID answers AADSTS700016 or AADSTS65001.

TENANT is an id or a registered name; an id need not be registered if the stack has an app for all tenants. --check
also asks Entra ID and Defender whether anything is still missing.`,
		Example: `  packhorse tenant consent Contoso --stack packhorse
  packhorse tenant consent Contoso --stack packhorse --check`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd, func(ctx context.Context, place *enroll.Place) error {
				return consent(ctx, cmd, place, args[0], redirect, check)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&redirect, "redirect-uri", "", "where Microsoft sends the administrator afterwards: a `URL` of the app registration")
	cmd.Flags().BoolVar(&check, "check", false, "also check whether anything is still missing")
	return cmd
}

func consent(ctx context.Context, cmd *cobra.Command, place *enroll.Place, text, redirect string, check bool) error {
	id, err := place.ID(ctx, text)
	if err != nil {
		return err
	}
	entry, err := place.Registry.Get(ctx, id)
	if err != nil {
		return err
	}
	if entry.ID == "" { // as if it were registered with the stack's app
		entry = tenant.New(tenant.Tenant{ID: id, Name: "new"}, time.Now())
	}
	s, err := place.Base.Of(entry)
	if err != nil {
		return err
	}
	err = say(cmd, "%s\n", enroll.ConsentLink(s, redirect))
	if err != nil || !check {
		return err
	}
	answer, err := place.Ask(ctx, entry, time.Now())
	if err != nil {
		return err
	}
	return say(cmd, "%s\n", answer.Text())
}

// say writes clean text to standard output, and fits it to a terminal.
func say(cmd *cobra.Command, format string, args ...any) error {
	out := cmd.OutOrStdout()
	_, err := fmt.Fprint(out, console.FitLines(console.CleanText(fmt.Sprintf(format, args...)), widthOf(out)))
	return err
}

// titleOf is what messages call a tenant.
func titleOf(t tenant.Tenant) string {
	if t.Name == "" {
		return "tenant " + t.ID
	}
	return fmt.Sprintf("tenant %s (%s)", console.CleanLine(t.Name), t.ID)
}

// sayOrphan tells of a secret that nobody uses any more.
func sayOrphan(ctx context.Context, cmd *cobra.Command, place *enroll.Place, before, after tenant.Tenant) error {
	orphan, err := place.Orphan(ctx, before, after)
	if err != nil || orphan == "" {
		return err
	}
	return say(cmd, "its secret is no longer used; to delete it: aws secretsmanager delete-secret --secret-id %s\n",
		console.ShellQuote(orphan))
}

// conflictError adds advice to a conflict.
type conflictError struct{ error }

func (e conflictError) Unwrap() error { return e.error }

// Advice says what to do.
func (conflictError) Advice() string {
	return "look at it again (packhorse tenant show), then repeat the command"
}

func conflicted(err error) error {
	if errors.Is(err, tenant.ErrConflict) {
		return conflictError{err}
	}
	return err
}
