package mde_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"packhorse/internal/investigation"
	"packhorse/internal/mde"
)

func TestPackageURI(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		value  string
	}{
		"plain":            {200, link},
		"created":          {201, link},
		"quoted":           {200, `"` + link + `"`},
		"quoted, blanks":   {200, "  \"" + link + " \"\r\n"},
		"named port":       {200, strings.Replace(link, ".net/", ".net:443/", 1)},
		"listed port":      {200, "https://localhost:8443/x?token=%2f%2b%3b"},
		"upper-case host":  {200, strings.Replace(link, "store.blob", "STORE.Blob", 1)},
		"lower-case codes": {200, "https://a.blob.core.windows.net/a%2fb?token=a%2fb%2bc%3bd"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{linker: tripper(func(req *http.Request) (*http.Response, error) {
				if got := req.URL.Path; got != "/api/machineactions/"+action+"/getPackageUri" {
					t.Errorf("path %s", got)
				}
				return reply(tt.status, jsonOf(t, map[string]any{"value": tt.value})), nil
			})})
			got, _, err := client.PackageURI(t.Context(), strings.ToUpper(action))
			want := strings.Trim(tt.value, "\" \r\n")
			if err != nil || got.Reveal() != want {
				t.Errorf("got %q, %v, want %q", got.Reveal(), err, want)
			}
		})
	}
}

func TestPackageURIRefusesLinks(t *testing.T) {
	for name, tt := range map[string]struct {
		value  any
		listed bool // refused for a reason other than its host
	}{
		"clear text":       {strings.Replace(link, "https", "http", 1), true},
		"another host":     {"https://attacker.example/" + secret, false},
		"the suffix alone": {"https://blob.core.windows.net/" + secret, false},
		"a look-alike":     {"https://blob.core.windows.net.attacker.example/" + secret, false},
		"glued on":         {"https://attackerblob.core.windows.net/" + secret, false},
		"another port":     {strings.Replace(link, ".net/", ".net:8443/", 1), false},
		"port of another":  {"https://localhost/" + secret, false},
		"an IPv6 zone":     {"https://[::1%25a.blob.core.windows.net]/" + secret, false},
		"user":             {"https://" + secret + "@store.blob.core.windows.net/", true},
		"no host":          {"https:///" + secret, true},
		"no URL":           {"https://[" + secret, true},
		"a path":           {"/" + secret, true},
		"empty":            {"", true},
		"null":             {nil, true},
		"an object":        {map[string]any{"link": secret}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, transports{
				linker: always(200, jsonOf(t, map[string]any{"value": tt.value})),
			})
			_, _, err := client.PackageURI(t.Context(), action)
			checkNoSecret(t, err)
			// An unlisted host is a setting to fix; the package waits for it.
			_, postponed := errors.AsType[*investigation.PostponedError](err)
			if postponed == tt.listed {
				t.Errorf("postponed: %t, want %t: %v", postponed, !tt.listed, err)
			}
			if !tt.listed && !strings.Contains(err.Error(), "DEFENDER_LINK_HOSTS") {
				t.Errorf("the error does not say what to fix: %v", err)
			}
			if err == nil {
				return
			}
			// A host with a zone is no host that a setting could name, so it is not suggested.
			host, ok := mde.RefusedHost(err.Error())
			wanted := !tt.listed && !strings.Contains(err.Error(), "%")
			if ok != wanted || ok && !strings.HasPrefix(fmt.Sprint(tt.value), "https://"+host) {
				t.Errorf("%v: the refused host is %q, %t", err, host, ok)
			}
		})
	}
}

func TestPackageURISendsNoInvalidID(t *testing.T) {
	client := newClient(t, transports{})
	for _, id := range []string{"", "..", "a/b", action + "/../x"} {
		_, _, err := client.PackageURI(t.Context(), id)
		if err == nil {
			t.Errorf("%q was sent", id)
		}
	}
}
