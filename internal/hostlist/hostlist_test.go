package hostlist_test

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"packhorse/internal/hostlist"
)

func TestParse(t *testing.T) {
	for entry, want := range map[string]string{
		"example.com": "example.com", " A.Example ": "a.example", "localhost": "localhost",
		"example.com:443": "example.com", "example.com:8443": "example.com:8443",
		".blob.core.windows.net": ".blob.core.windows.net", ".a.example:8443": ".a.example:8443",
		"127.0.0.1": "127.0.0.1", "127.0.0.1:8443": "127.0.0.1:8443", "[::1]": "[::1]",
		"[0:0::0:1]:8443": "[::1]:8443", "a_b.example": "a_b.example", "xn--a.example": "xn--a.example",
	} {
		list, err := hostlist.Parse([]string{entry})
		if got := list.Strings(); err != nil || !slices.Equal(got, []string{want}) {
			t.Errorf("%q: got %q, %v, want %q", entry, got, err, want)
		}
	}
	for _, entry := range []string{"", ".", "..", ".com", ".com:443", "*.a.example", "https://a.example",
		"a.example/x", "a.example:", "a.example:x", "a.example:0", "a.example:0443", "a.example:70000",
		"a b", "a..b", "me@a.example", "::1", "[::1", "::1]", "[::1]x", "[::1]:", "[127.0.0.1]", "[a.example]",
		"[fe80::1%eth0]", "[::1%25a.blob.core.windows.net]", "-a.b", "a-.b", ".-a.b", ".1.2", "1.2.3",
		"1.2.3.4.5", "a.example.", "a:b:443", strings.Repeat("a", 64) + ".example",
		strings.Repeat("a.", 130) + "example"} {
		list, err := hostlist.Parse([]string{"a.example", entry})
		if !errors.Is(err, hostlist.ErrBadEntry) || list != nil || !strings.Contains(err.Error(), "entry 2") {
			t.Errorf("%q: got %q, %v", entry, list.Strings(), err)
		}
	}
	if _, err := hostlist.Parse(make([]string, 65)); !errors.Is(err, hostlist.ErrBadEntry) {
		t.Errorf("65 entries: got %v", err)
	}
}

func TestAdmits(t *testing.T) {
	for _, tt := range []struct {
		entry, address string
		want           bool
	}{
		{"a.example", "https://A.Example:443/x", true},
		{"a.example", "https://a.example:444/x", false},
		{"a.example", "https://b.a.example/x", false},
		{".a.example", "https://c.b.a.example/x", true},
		{".a.example", "https://a.example/x", false},
		{".a.example", "https://.a.example/x", false},
		{".a.example", "https://-.a.example/x", false},
		{".a.example", "https://b.a.example:8443/x", false},
		{".a.example:8443", "https://b.a.example:8443/x", true},
		{"[::1]", "https://[::1]/x", true},
		{"[::1]", "https://[0:0::1]/x", true},
		{"[::1]", "https://[::1%25eth0]/x", false},
		{"127.0.0.1", "https://127.0.0.1/x", true},
		{"127.0.0.1", "https://[::ffff:127.0.0.1]/x", false},
		// An IPv6 zone is any text: a suffix must not take it for the end of a name.
		{".blob.core.windows.net", "https://[::1%25a.blob.core.windows.net]/x", false},
		{".blob.core.windows.net", "https://[fe80::1%25.blob.core.windows.net]/x", false},
		{".blob.core.windows.net", "https://a%20b.blob.core.windows.net/x", false},
	} {
		list, err := hostlist.Parse([]string{"unrelated.example", tt.entry})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(tt.address)
		if err != nil {
			if tt.want {
				t.Errorf("%q: %v", tt.address, err)
			}
			continue // cannot be followed
		}
		if got := list.Admits(u); got != tt.want {
			t.Errorf("%q admits %q: %t, want %t", tt.entry, tt.address, got, tt.want)
		}
	}
	if (hostlist.List{}).Admits(&url.URL{Scheme: "https", Host: "a.example"}) {
		t.Error("an empty list admits a host")
	}
}

func FuzzAdmits(f *testing.F) {
	for _, seed := range []string{"https://a.blob.core.windows.net:443", "https://evil.example",
		"https://x@a.blob.core.windows.net", "https://a.blob.core.windows.net.evil.example",
		"https://a.blob.core.windows.net:0443/", "https://[::1%25a.blob.core.windows.net]",
		"https://[::ffff:1.2.3.4%25.blob.core.windows.net]:443/"} {
		f.Add(seed)
	}
	list, err := hostlist.Parse([]string{".blob.core.windows.net"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, address string) {
		u, err := url.Parse(address)
		if err != nil || !list.Admits(u) {
			return
		}
		host := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(host); err == nil || strings.ContainsAny(host, "%:[] ") ||
			!strings.HasSuffix(host, ".blob.core.windows.net") || (u.Port() != "" && u.Port() != "443") {
			t.Errorf("%q is admitted", address)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "a.example", ".a.example:8443", "[::1]:443", "[fe80::1%eth0]:443",
		"::1", "a:b:c", "[::", "]:1", "ſ.example", "1.2.3.4.", "0x7f.1:443", "[::ffff:1.2.3.4]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := hostlist.Parse([]string{text})
		if err != nil {
			if !errors.Is(err, hostlist.ErrBadEntry) || list != nil {
				t.Fatalf("%q: got %q, %v", text, list.Strings(), err)
			}
			return
		}
		again, err := hostlist.Parse(list.Strings())
		if err != nil || !slices.Equal(again.Strings(), list.Strings()) {
			t.Fatalf("%q: %q is read back as %q, %v", text, list.Strings(), again.Strings(), err)
		}
		host := list.Strings()[0]
		if strings.HasPrefix(host, ".") {
			host = "a" + host
		}
		u, err := url.Parse("https://" + host + "/x")
		if err != nil || !list.Admits(u) {
			t.Fatalf("%q does not admit %q, %v", list.Strings(), host, err)
		}
	})
}
