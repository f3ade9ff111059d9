package defender_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"packhorse/internal/defender"
)

// TestTransports: tenants with the same roots share a transport; others never do.
func TestTransports(t *testing.T) {
	t.Parallel()
	var shared defender.Transports
	read := 0
	roots := func() (*x509.CertPool, error) {
		read++
		return x509.NewCertPool(), nil
	}
	one, err := shared.For("one", roots)
	again, againErr := shared.For("one", roots)
	other, otherErr := shared.For("other", roots)
	if err := errors.Join(err, againErr, otherErr); err != nil || one != again || one == other || read != 2 {
		t.Errorf("%p, %p, %p; read %d times, %v", one, again, other, read, err)
	}
	if one.TLSClientConfig.RootCAs == other.TLSClientConfig.RootCAs {
		t.Error("the roots of one are trusted for the other")
	}
	broken := errors.New("not one is valid PEM")
	if _, err := shared.For("broken", func() (*x509.CertPool, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if fixed, err := shared.For("broken", roots); err != nil || fixed == nil {
		t.Errorf("after that: %v", err)
	}
	for i := range 250 { // however many there are
		if _, err := shared.For(fmt.Sprint(i), roots); err != nil {
			t.Fatal(err)
		}
	}
}
