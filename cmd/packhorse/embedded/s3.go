package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/embedgw"
	"github.com/versity/versitygw/s3api"
)

const (
	s3Region = "us-east-1"

	// readyTimeout bounds the start, which took 15 ms when measured.
	readyTimeout = 10 * time.Second

	// startsMax is how often a start is tried: another program may take the free port before the
	// server uses it.
	startsMax = 5

	// connectionsMax is many times the connections that the uploads of one process open.
	connectionsMax = 256

	// connectionsKept is how many idle connections a client in this process keeps: as many as its fetchers use, so
	// that small objects do not cost a handshake each.
	connectionsKept = 32

	// partsMax is S3's own limit of parts in an upload.
	partsMax = 10_000
)

// S3 is an S3 server in this process, on loopback, that keeps objects as plain files. A process can
// run one at a time, because the server library keeps global state.
//
// Conditional writes also work between processes: publishing an object takes an advisory file lock,
// and an object appears under its name with one link or rename of a complete file. A kill leaves a
// file without a name, or one in the bucket's folder of temporary files. One guarantee is weaker
// than on AWS: an object that was put in one piece gets its tags and its lock a moment after its
// name, and a kill in that moment leaves it without them.
type S3 struct {
	Endpoint string // https://127.0.0.1:port, or http

	config   S3Config
	identity identity
	client   *http.Client // for the clients in this process
	contains *containment
	stop     context.CancelFunc
	served   chan error
}

// S3Config configures a server and its account.
type S3Config struct {
	Dir    string // each folder in it is a bucket
	Bucket string // created if missing; empty: existing buckets are served unchanged
	// ObjectLock creates the bucket with Object Lock. For a bucket that an earlier version created
	// without it, it turns Object Lock on if the server allows that.
	ObjectLock bool
	Keys       Keys

	// Plain serves without TLS, to clients in other processes. They cannot tell whether the server
	// or another program on its port answers them.
	Plain bool

	noXattrs bool   // act as if the file system lacked extended attributes
	address  string // empty: a free port on loopback
}

// Keys are the one account of the server; the zero value means random ones.
type Keys struct{ AccessKey, SecretKey string }

// StartS3 starts a server. The server MUST be closed: until then os.Stdout, os.Stderr and the
// standard logger discard their output, and the working directory is the served folder (see
// containment). It returns [ErrOneServer] while another server runs in this process.
func StartS3(ctx context.Context, config S3Config) (_ *S3, err error) {
	config.Dir, err = filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", config.Dir, err)
	}
	err = os.MkdirAll(config.Dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("make the archive's folder: %w", err)
	}
	if config.Keys == (Keys{}) {
		config.Keys = Keys{AccessKey: rand.Text(), SecretKey: rand.Text()}
	}
	server := &S3{config: config, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connectionsKept}}}
	if !config.Plain {
		server.identity, err = newIdentity()
		if err != nil {
			return nil, fmt.Errorf("make the certificate of the embedded S3 server: %w", err)
		}
		server.client = server.identity.client()
	}
	server.contains, err = contain()
	if err != nil {
		return nil, err
	}
	for start := 1; ; start++ {
		err = server.start(ctx)
		if err == nil {
			break
		}
		if start == startsMax || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("start the embedded S3 server: %w", err),
				server.contains.release())
		}
	}
	if config.Bucket == "" {
		return server, nil
	}
	err = prepare(ctx, server.Client(), config.Bucket, config.ObjectLock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the bucket %s: %w", config.Bucket, err), server.Close())
	}
	return server, nil
}

// start starts the server on a free port.
func (s *S3) start(ctx context.Context) (err error) {
	address := s.config.address
	if address == "" {
		address, err = freeAddress(ctx)
		if err != nil {
			return err
		}
	}
	backend, err := openPosix(s.config.Dir, s.config.noXattrs)
	if err != nil {
		return err
	}
	var files tlsFiles
	s.Endpoint = "http://" + address
	if !s.config.Plain {
		s.Endpoint = "https://" + address
		var done func() error
		files, done, err = s.identity.handOver()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
	}
	listening := make(chan struct{})
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.served = stop, make(chan error, 1)
	go func() {
		s.served <- embedgw.RunVersityGW(serving, backend, s.gateway(address, files, func() { close(listening) }))
	}()
	err = s.await(ctx, address, listening)
	if err != nil {
		return errors.Join(err, s.shutDown())
	}
	return nil
}

// gateway returns the configuration of the server library.
func (s *S3) gateway(address string, files tlsFiles, onListen func()) *embedgw.Config {
	return &embedgw.Config{
		RootUserAccess:    s.config.Keys.AccessKey,
		RootUserSecret:    s.config.Keys.SecretKey,
		Region:            s3Region,
		Ports:             []string{address},
		MaxConnections:    connectionsMax,
		MaxRequests:       connectionsMax,
		MultipartMaxParts: partsMax,
		CertFile:          files.cert,
		KeyFile:           files.key,
		Quiet:             true,
		KeepAlive:         true,
		DisableACLs:       true,
		S3Options:         []s3api.Option{s3api.WithOnListen(onListen)},
		// The library would choose the same single account, but print it to standard output.
		IAMService: auth.NewIAMServiceSingle(auth.Account{
			Access: s.config.Keys.AccessKey, Secret: s.config.Keys.SecretKey, Role: auth.RoleAdmin,
		}),
	}
}

// await waits until the server listens, or returns the reason it never will. It asks the server
// instead of connecting to the port: another program may have taken the port, and would accept
// connections too.
func (s *S3) await(ctx context.Context, address string, listening <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-listening:
		return nil
	case err := <-s.served:
		s.served <- err
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
		return fmt.Errorf("wait for the server on %s: %w", address, context.Cause(ctx))
	}
}

// Close stops the server after it has answered the requests under way, and restores the process's
// working directory and output. It may be called more than once.
func (s *S3) Close() error {
	return errors.Join(s.shutDown(), s.contains.release())
}

func (s *S3) shutDown() error {
	s.client.CloseIdleConnections() // the server would wait for them
	s.stop()
	err := <-s.served
	s.served <- err
	if err != nil {
		return fmt.Errorf("serve the embedded S3: %w", err)
	}
	return nil
}

// Client returns a client of the server. Unless the server is Plain, the client sends requests only
// to this server: if another program answers, the error wraps [ErrNotOurServer].
func (s *S3) Client() *s3.Client {
	return s3.New(s3.Options{
		Region:       s3Region,
		BaseEndpoint: &s.Endpoint,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(s.config.Keys.AccessKey, s.config.Keys.SecretKey, ""),
		HTTPClient:   s.client,
	})
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
