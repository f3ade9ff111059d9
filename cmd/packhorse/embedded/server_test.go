package embedded_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"packhorse/cmd/packhorse/embedded"
)

// thief has taken a port. It accepts every connection and records the first bytes.
type thief struct {
	listener net.Listener

	mu    sync.Mutex // guards bytes
	bytes strings.Builder
	all   sync.WaitGroup
}

func steal(t *testing.T, address string) *thief {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	th := &thief{listener: listener}
	th.all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			th.all.Go(func() { th.listen(conn) })
		}
	})
	return th
}

// listen answers every request as a web server would, and records it.
func (th *thief) listen(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 64<<10)
	n, _ := conn.Read(buffer)
	th.mu.Lock()
	th.bytes.Write(buffer[:n])
	th.mu.Unlock()
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

// heard stops the thief and returns the bytes it received.
func (th *thief) heard() string {
	_ = th.listener.Close()
	th.all.Wait()
	return th.bytes.String()
}

// secrets must not be sent to anybody but the server.
func secrets(keys embedded.Keys) []string {
	return []string{keys.AccessKey, keys.SecretKey, "AWS4", "PUT ", "HTTP/1.1", "the package", bucket}
}

func checkHeard(t *testing.T, heard string, keys embedded.Keys) {
	t.Helper()
	for _, secret := range secrets(keys) {
		if strings.Contains(heard, secret) {
			t.Errorf("%q was sent to somebody else: %q", secret, heard)
		}
	}
}

var someKeys = embedded.Keys{AccessKey: "AKIASOMEBODY", SecretKey: "sesame"}

// TestPortIsTaken: a program that took the port first is not mistaken for the server, although it
// accepts connections.
func TestPortIsTaken(t *testing.T) {
	for _, plain := range []bool{false, true} {
		th := steal(t, "127.0.0.1:0")
		address := th.listener.Addr().String()
		server, err := embedded.StartS3(t.Context(), embedded.At(embedded.S3Config{
			Dir: newDir(t), Bucket: bucket, Keys: someKeys, Plain: plain,
		}, address))
		if err == nil {
			t.Errorf("plain %t: it was started (%v)", plain, server.Close())
		} else if !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("plain %t: got %v", plain, err)
		}
		if heard := th.heard(); heard != "" {
			t.Errorf("plain %t: somebody else was sent %q", plain, heard)
		}
	}
}

// put stores an object the way an Archive does.
func put(t *testing.T, client *s3.Client) error {
	t.Helper()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("the package"),
	})
	return err
}

// TestServerIsReplaced: a program that takes the port of a closed server receives nothing that was
// meant for it, either without TLS or with its own certificate for the same address.
func TestServerIsReplaced(t *testing.T) {
	dir := newDir(t)
	server, err := embedded.StartS3(t.Context(), embedded.S3Config{Dir: dir, Bucket: bucket, Keys: someKeys})
	if err != nil {
		t.Fatal(err)
	}
	client, address := server.Client(), strings.TrimPrefix(server.Endpoint, "https://")
	if err := put(t, client); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}

	th := steal(t, address)
	if err := put(t, client); !errors.Is(err, embedded.ErrNotOurServer) || !strings.Contains(err.Error(), address) {
		t.Errorf("without TLS: got %v", err)
	}
	checkHeard(t, th.heard(), someKeys)

	var heard strings.Builder
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_ = r.Write(&heard)
	}))
	var config net.ListenConfig
	other.Listener, err = config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	other.Config.ErrorLog = log.New(io.Discard, "", 0)
	other.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	other.StartTLS()
	if err := put(t, client); !errors.Is(err, embedded.ErrNotOurServer) {
		t.Errorf("with another certificate: got %v", err)
	}
	other.Close()
	if heard.Len() > 0 {
		t.Errorf("somebody else was sent %q", heard.String())
	}
}
