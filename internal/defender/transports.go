package defender

import (
	"crypto/x509"
	"net/http"
	"sync"
)

// idleMax is how many idle connections a shared transport keeps to one host. Each costs some 50 KiB.
const idleMax = 8

// rootsMax bounds the transports that are kept: as many different sets of roots are a registry gone wrong.
const rootsMax = 100

// Transports shares transports between tenants that trust the same roots. All tenants of a cloud get their tokens from
// one host: with a transport each, a thousand tenants keep a thousand idle connections to it, which take more memory
// than everything else. The zero value is ready to use, and safe for concurrent use.
type Transports struct {
	mu sync.Mutex // guards of
	of map[string]*http.Transport
}

// For returns the transport of all tenants with these extra root certificates. It calls roots, which reads them, if
// there is none yet.
func (t *Transports) For(caPEM string, roots func() (*x509.CertPool, error)) (*http.Transport, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if shared, ok := t.of[caPEM]; ok {
		return shared, nil
	}
	pool, err := roots()
	if err != nil {
		return nil, err
	}
	if len(t.of) >= rootsMax {
		clear(t.of) // who has one of them keeps it
	}
	if t.of == nil {
		t.of = map[string]*http.Transport{}
	}
	made := Transport(pool)
	made.MaxIdleConnsPerHost = idleMax
	t.of[caPEM] = made
	return made, nil
}
