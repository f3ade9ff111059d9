package embedded

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"
)

// handshakeTimeout bounds a handshake with the program on the server's port. The server itself
// takes a millisecond.
const handshakeTimeout = 30 * time.Second

// identity proves the server to its clients: a certificate for loopback whose key exists only in
// this process.
type identity struct {
	certificate *x509.Certificate
	key         []byte // PKCS #8
}

func newIdentity() (identity, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// The key dies with the process; until then the clock may be wrong or change.
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return identity{}, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	return identity{certificate, key}, err
}

// client returns a client that talks only to the server with this identity.
func (id identity) client() *http.Client {
	roots := x509.NewCertPool()
	roots.AddCert(id.certificate)
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		handshake, cancel := context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
		secured := tls.Client(conn, config)
		err = secured.HandshakeContext(handshake)
		if err == nil {
			return secured, nil
		}
		err = errors.Join(err, conn.Close())
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s (find out which program listens there, and run again): %w",
			ErrNotOurServer, address, err)
	}
	return &http.Client{Transport: &http.Transport{DialTLSContext: dial, MaxIdleConnsPerHost: connectionsKept}}
}

// ErrNotOurServer means that another program answers on the port of an [S3]. It was sent no
// request, and so no credential and no byte of a package.
var ErrNotOurServer = errors.New("another program answers in place of the embedded S3 server")

// handOver returns files from which the server library, which accepts only paths, reads the
// certificate and its key once each. They are pipes, so the key is never on disk. done closes them.
func (id identity) handOver() (files tlsFiles, done func() error, err error) {
	var pipes []*os.File
	done = func() error {
		var failures []error
		for _, pipe := range pipes {
			failures = append(failures, pipe.Close())
		}
		return errors.Join(failures...)
	}
	for _, part := range []struct {
		path  *string
		block pem.Block
	}{
		{&files.cert, pem.Block{Type: "CERTIFICATE", Bytes: id.certificate.Raw}},
		{&files.key, pem.Block{Type: "PRIVATE KEY", Bytes: id.key}},
	} {
		pipe, err := filled(pem.EncodeToMemory(&part.block))
		if err != nil {
			return tlsFiles{}, done, errors.Join(fmt.Errorf("hand over the server's certificate: %w", err), done())
		}
		pipes = append(pipes, pipe)
		*part.path = fmt.Sprintf("/dev/fd/%d", pipe.Fd())
	}
	return files, done, nil
}

// tlsFiles are paths of PEM files.
type tlsFiles struct{ cert, key string }

// filled returns a pipe that contains text, which MUST fit into it (4 KiB at least).
func filled(text []byte) (*os.File, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	_, err = in.Write(text)
	err = errors.Join(err, in.Close())
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	return out, nil
}
