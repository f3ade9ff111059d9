package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"packhorse/cmd/packhorse/console"
	"packhorse/cmd/packhorse/enroll"
	"packhorse/internal/tenant"
)

func tenantListCommand(environ []string) *cobra.Command {
	f := newTenantFlags(environ)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tenants and how well their sweeps work, those that need a person first",
		Long: `List shows every registered tenant, and the one of the stack's parameters: first those whose sweeps fail, the
longest first, then those that were never swept, then the others, and suspended ones last. It asks neither Entra ID
nor Defender; the health is what the last sweep stored.`,
		Example: `  packhorse tenant list
  packhorse tenant list --stack packhorse
  packhorse tenant list --json | jq -r 'select(.failingSince) | .name'`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.open(cmd, func(ctx context.Context, place *enroll.Place) error {
				rows, err := place.Rows(ctx)
				if err != nil && !errors.Is(err, tenant.ErrInvalid) {
					return err
				}
				return errors.Join(writeTenants(cmd, rows, f.json, place), err)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "write one JSON object per line")
	return cmd
}

func writeTenants(cmd *cobra.Command, rows []enroll.Row, asJSON bool, place *enroll.Place) error {
	out := cmd.OutOrStdout()
	switch {
	case asJSON:
		for _, row := range rows {
			err := console.WriteJSON(out, tenantLineOf(row))
			if err != nil {
				return err
			}
		}
		return nil
	case len(rows) == 0:
		fmt.Fprintf(cmd.ErrOrStderr(), "packhorse: no tenant is registered in %s\n", console.CleanLine(place.Name))
		return nil
	}
	grid := console.Grid{Width: widthOf(out), Shrink: []int{0, 4}}
	grid.Row("NAME", "TENANT", "STATE", "SWEPT", "HEALTH")
	for _, row := range rows {
		name := console.CleanLine(row.Tenant.Name)
		if row.Own {
			name = "(no entry needed)"
		}
		grid.Row(name, row.Tenant.ID, string(row.Tenant.State), minute(row.Health.SweptAt), console.CleanLine(healthOf(row, place)))
	}
	_, err := grid.WriteTo(out)
	return err
}

// healthOf is how a tenant is doing, in words.
func healthOf(row enroll.Row, place *enroll.Place) string {
	h := row.Health
	switch {
	case row.Err != nil:
		return "unknown: " + row.Err.Error()
	case place.Ledger == nil:
		return "unknown without --ledger"
	case !h.FailingSince.IsZero():
		return fmt.Sprintf("fails since %s: %s", minute(h.FailingSince), h.Message)
	case h.SweptAt.IsZero():
		return "not swept yet"
	default:
		return "well"
	}
}

// minute writes a time for a table, in UTC.
func minute(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format(console.Minute)
}

func tenantShowCommand(environ []string) *cobra.Command {
	f := newTenantFlags(environ)
	cmd := &cobra.Command{
		Use:   "show TENANT",
		Short: "Show the entry of one tenant, and how well its sweeps work",
		Long: `Show writes every field of a tenant's entry, named like the flags of packhorse tenant add, and its health. What is
not shown is inherited. No secret is in an entry.

TENANT is an id or a registered name.`,
		Example: `  packhorse tenant show Contoso --stack packhorse
  packhorse tenant show Contoso --json`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.open(cmd, func(ctx context.Context, place *enroll.Place) error {
				entry, err := place.Find(ctx, args[0])
				if err != nil {
					return err
				}
				row := place.Row(ctx, entry)
				if f.json {
					return console.WriteJSON(cmd.OutOrStdout(), tenantLineOf(row))
				}
				return describeTenant(cmd.OutOrStdout(), row, place)
			})
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "write one JSON object")
	return cmd
}

// describeTenant writes an entry for people.
func describeTenant(out io.Writer, row enroll.Row, place *enroll.Place) error {
	var grid console.Grid
	grid.Row("id", row.Tenant.ID)
	fields := row.Tenant.Fields()
	for _, name := range tenant.FieldNames() {
		if value := fields[name]; value != "" {
			grid.Row(name, console.CleanLine(strings.TrimSpace(value)))
		}
	}
	grid.Row("swept", minute(row.Health.SweptAt))
	grid.Row("health", console.CleanLine(healthOf(row, place)))
	_, err := grid.WriteTo(out)
	return err
}

// tenantLine is a tenant in JSON.
type tenantLine struct {
	Event        string            `json:"event"`
	TenantID     string            `json:"tenantId"`
	Name         string            `json:"name,omitempty"`
	State        tenant.State      `json:"state"`
	Own          bool              `json:"own,omitempty"`
	Fields       map[string]string `json:"fields,omitempty"`
	SweptAt      time.Time         `json:"sweptAt,omitzero"`
	TriedAt      time.Time         `json:"triedAt,omitzero"`
	FailingSince time.Time         `json:"failingSince,omitzero"`
	Message      string            `json:"message,omitempty"`
}

func tenantLineOf(row enroll.Row) tenantLine {
	line := tenantLine{
		Event: "tenant", TenantID: row.Tenant.ID, Name: row.Tenant.Name, State: row.Tenant.State, Own: row.Own,
		SweptAt: row.Health.SweptAt, TriedAt: row.Health.TriedAt, FailingSince: row.Health.FailingSince,
		Message: row.Health.Message,
	}
	if !row.Own {
		line.Fields = row.Tenant.Fields()
	}
	if row.Err != nil {
		line.Message = row.Err.Error()
	}
	return line
}
