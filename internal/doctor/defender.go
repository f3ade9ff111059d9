package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
)

func defenderChecks(p TenantPorts) []Check {
	return []Check{
		{
			Name: nameToken, Area: areaDefender, After: []string{nameSettings, nameAuthority},
			Looks: "whether Entra ID gives a token for the credential",
			Run:   asking(p.Token, func(struct{}) Finding { return Good("Entra ID gives one") }),
		},
		{
			Name: "credential", Area: areaDefender, After: []string{nameToken},
			Looks: "which proof Entra ID accepted, when it expires, and whether its replacement is known there",
			Run:   asking(p.Credential, func(c Credential) Finding { return judgeCredential(c, p.Now()) }),
		},
		{
			Name: nameRoles, Area: areaDefender, After: []string{nameToken},
			Looks: "whether the token has the application permission that is needed, and none that is too much",
			Run:   asking(p.Roles, judgeRoles),
		},
		{
			Name: NameList, Area: areaDefender, After: []string{nameAPI, nameRoles},
			Looks: "whether Defender lists the tenant's actions; it is one call of the list budget",
			Run:   asking(p.List, func(n int) Finding { return Good("Defender lists the tenant's actions: %d or more", n) }),
		},
		{
			Name: "links.permission", Area: areaDefender, After: []string{nameRoles},
			Looks: "whether Defender gives links to packages, as far as that shows without asking for one", Run: p.judgePermission,
		},
		{
			Name: "links.hosts", Area: areaDefender, After: []string{nameSettings, nameDatabase},
			Looks: "whether a package waits because its link leads to a host that is not allowed",
			Run:   asking(p.Refused, p.judgeRefused),
		},
	}
}

// asking is seeing for a service that may refuse, which is a failure.
func asking[T any](look Look[T], judge func(T) Finding) func(context.Context) Finding {
	return func(ctx context.Context) Finding {
		seen, err := look(ctx)
		if refused, ok := errors.AsType[*RefusedError](err); ok {
			return Fail(refused.Advice, "%s", refused.Text)
		}
		if err != nil {
			return unseen(err, "")
		}
		return judge(seen)
	}
}

const grant = "in Entra ID, under App registrations, API permissions, add the application permission " + roleRead +
	" (or, if Defender refuses that, " + roleWrite + ") of WindowsDefenderATP, and grant admin consent"

func judgeRoles(roles []string) Finding {
	var much []string
	read, write := slices.Contains(roles, roleRead), slices.Contains(roles, roleWrite)
	for _, role := range roles {
		if role != roleRead && role != roleWrite {
			much = append(much, role)
		}
	}
	slices.Sort(much)
	switch {
	case len(roles) == 0:
		return Fail(grant, "the token has no application permission")
	case !read && !write:
		return Fail(grant, "the token has only %s", strings.Join(much, ", "))
	case len(much) > 0:
		return Warn("remove what Packhorse does not need, under API permissions of the app registration; a token that is"+
			" already issued keeps it for an hour", "more than needed: %s", strings.Join(much, ", "))
	case read && write:
		return Warn("remove one of the two, under API permissions of the app registration",
			"both %s and %s: one is enough", roleRead, roleWrite)
	case read:
		return Good("%s", roleRead)
	default:
		return Good("%s", roleWrite)
	}
}

func (p TenantPorts) judgePermission(ctx context.Context) Finding {
	roles, err := p.Roles(ctx)
	if err != nil {
		return unseen(err, "")
	}
	forbidden, err := p.Forbidden(ctx)
	if err != nil && !isUnmade(err) {
		return unseen(err, "")
	}
	at, err := p.Archived(ctx)
	switch {
	case forbidden.Action != "" && forbidden.Until.After(at):
		return Fail(grant, "Defender refused the link of %.8s: %s", forbidden.Action, forbidden.Message)
	case err == nil && !at.IsZero() && p.Now().Sub(at) < lately:
		return Good("a package was archived with this app %s ago", age(p.Now().Sub(at)))
	case slices.Contains(roles, roleWrite):
		return Good("%s is what Microsoft documents for it", roleWrite)
	default:
		return Skip("", "whether %s still suffices shows only with a link, and doctor does not spend one: the first package"+
			" that packhorse run archives proves it", roleRead)
	}
}

func (p TenantPorts) judgeRefused(r RefusedLinks) Finding {
	if len(r.Hosts) == 0 {
		return Good("no package waits for its host to be allowed")
	}
	advice := "if it is Microsoft's, allow it"
	if len(r.Hosts) > 1 {
		advice = "if they are Microsoft's, allow them"
	}
	if set := p.Set("DEFENDER_LINK_HOSTS", strings.Join(slices.Concat(r.Allowed, r.Hosts), ",")); set != "" {
		advice += ": " + set
	}
	return Fail(advice, "packages wait: their links lead to %s, which DEFENDER_LINK_HOSTS lacks", few(r.Hosts))
}

// isUnmade reports whether a Look failed because the thing does not exist yet.
func isUnmade(err error) bool {
	_, unmade := errors.AsType[*UnmadeError](err)
	return unmade
}
