package console_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"packhorse/cmd/packhorse/console"
	"packhorse/internal/doctor"
)

// many is what doctor finds of a thousand tenants: 40 fail alike, one otherwise, one has a warning, two were not looked at,
// of three Defender could not be asked, and the others are well.
func many() console.Checkup {
	result := func(n int, name, area string, f doctor.Finding) doctor.Result {
		return doctor.Result{Check: doctor.Check{Name: name, Area: area}, Finding: f, Tenant: fmt.Sprintf("id-%03d", n),
			TenantName: fmt.Sprintf("Customer\x1b[2J %d", n)}
	}
	c := console.Checkup{Results: []doctor.Result{
		{Check: doctor.Check{Name: "stack.status", Area: "Stack"}, Finding: doctor.Good("UPDATE_COMPLETE")},
	}}
	for n := range 1000 {
		if n >= 998 {
			c.Results = append(c.Results, result(n, "tenant", "Settings", doctor.Skip("", "suspended")))
			continue
		}
		settings, list := doctor.Good("valid"), doctor.Good("5 or more")
		switch {
		case n < 40:
			list = doctor.Fail("grant it", "refused %d", n)
		case n == 40:
			settings = doctor.Fail("set it right", "\x1b[31mper-minute is 3")
		case n == 41:
			list = doctor.Warn("look at it", "slow")
		case n < 45:
			list = doctor.Skip("", "no credential")
		}
		c.Results = append(c.Results, result(n, "settings", "Settings", settings), result(n, doctor.NameList, "Defender", list),
			result(n, "links.permission", "Defender", doctor.Skip("", "shows only with a link")))
	}
	return c
}

// TestManyTenants: what is shared once, failures and warnings with whose they are, the others as a line, nothing of it in
// control characters.
func TestManyTenants(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := many().Table(&out, console.Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	want := `Stack
  ok       stack.status  UPDATE_COMPLETE

Tenants
  failed   list      Customer [2J 0 and 39 more tenants: refused 0
           → grant it
  failed   settings  Customer [2J 40: [31mper-minute is 3
           → set it right
  warning  list      Customer [2J 41: slow
           → look at it
  953 tenants: all checks ok, but for 953 that could not be made
  3 tenants: nothing wrong was found, but Defender could not be asked; --tenant
    NAME shows why
  2 tenants are suspended, and were not checked

1952 ok, 1 warning, 41 failed, 1003 skipped
Next: mend list of Customer [2J 0
  → grant it
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for line := range strings.Lines(out.String()) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) > 80 {
			t.Errorf("too wide: %q", line)
		}
	}
}

// TestOneTenantOfMany: the results of one tenant are shown in full, each area once.
func TestOneTenantOfMany(t *testing.T) {
	t.Parallel()
	c := many()
	c.Results = append(c.Results[:1:1], c.Results[1+3*100:1+3*101]...)
	c.Results = append(c.Results, doctor.Result{Check: doctor.Check{Name: "x", Area: "Stack"}, Finding: doctor.Good("y")})
	var out bytes.Buffer
	if err := c.Table(&out, console.Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Stack\n  ok       stack.status      UPDATE_COMPLETE\n  ok       x                 y\n", "skipped  links.permission  shows only with a link"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("without %q:\n%s", text, out.String())
		}
	}
	if strings.Contains(out.String(), "Customer") || strings.Count(out.String(), "Stack") != 1 {
		t.Errorf("got\n%s", out.String())
	}
}

// TestManyTenantsJSON: every check of every tenant, with whose it is.
func TestManyTenantsJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	lines := console.NewCheckupJSON(&out, func() time.Time { return at })
	c := many()
	for _, r := range c.Results {
		lines.Told(r)
	}
	if err := lines.Summary(c); err != nil {
		t.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(all) != len(c.Results)+1 || strings.Contains(all[0], "tenantId") || !strings.Contains(all[1], `"tenantId":"id-000"`) ||
		!strings.Contains(all[len(all)-1], `"tenantId":"id-000"`) || !strings.Contains(all[len(all)-1], `"next":"list"`) {
		t.Errorf("%d lines: %s, %s, %s", len(all), all[0], all[1], all[len(all)-1])
	}
}
