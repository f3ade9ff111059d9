package checkup_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"packhorse/cmd/packhorse/checkup"
	"packhorse/internal/doctor"
)

// withKey returns a data folder with a signing key.
func withKey(t *testing.T) string {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(data, "signing-key.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return data
}

// TestConditions: a service that looks at the digest first proves nothing. One that looks at neither gets the
// bytes that it has, so that nothing is lost even then.
func TestConditions(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	data := withKey(t)
	const stored = "the published key"
	for code, c := range map[string]struct {
		status int
		want   doctor.Conditions
		fails  bool
	}{
		"PreconditionFailed": {http.StatusPreconditionFailed, doctor.ConditionsHonored, false},
		"BadDigest":          {http.StatusBadRequest, doctor.ConditionsUnknown, false},
		"":                   {http.StatusOK, doctor.ConditionsIgnored, false},
		"AccessDenied":       {http.StatusForbidden, doctor.ConditionsUnknown, true},
	} {
		puts := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPut {
				_, _ = io.WriteString(w, stored)
				return
			}
			puts++
			body, _ := io.ReadAll(r.Body)
			if string(body) != stored || r.Header.Get("If-None-Match") != "*" || r.Header.Get("Content-Md5") == "" {
				t.Errorf("%s: got %q with %v", code, body, r.Header)
			}
			w.WriteHeader(c.status)
			if code != "" {
				_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
			}
		}))
		m := &checkup.Machine{
			Now: time.Now, Want: doctor.MachineWanted{Data: data, Bucket: "b", Endpoint: server.URL},
		}
		got, err := m.Ports().Conditions(t.Context())
		if got != c.want || (err != nil) != c.fails || puts != 1 {
			t.Errorf("%s: got %v, %v, %d puts", code, got, err, puts)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}
