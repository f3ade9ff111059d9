package mdesim

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	downloadPath = "/safedownload/WDATP_Investigation_Package.zip"
	tokenParam   = "token"
	// redirectedParam marks a link that was already redirected, so it is redirected only once.
	redirectedParam = "again"

	// slowPause is how long a slow download pauses halfway.
	slowPause = 3 * time.Second
)

// link is a link that was issued.
type link struct {
	action  *action
	expires time.Time
}

// newLink issues a link to the action's package. The caller holds the lock.
func (s *Simulator) newLink(a *action, now time.Time) string {
	s.serial++
	text := fmt.Sprintf("%s;sig/%d+secret", IDOf("link", s.serial, a.ID), s.serial)
	s.links[text] = link{action: a, expires: now.Add(s.config.LinkLifetime)}
	// Real links have lower-case escapes.
	escaped := strings.ToLower(url.QueryEscape(text))
	return s.config.DownloadOrigin + downloadPath + "?" + tokenParam + "=" + escaped
}

// Links returns the secret part of every issued link, for tests that search for leaks.
func (s *Simulator) Links() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var secrets []string
	for text := range s.links {
		secret, _, _ := strings.Cut(text, ";")
		secrets = append(secrets, secret)
	}
	return secrets
}

// Downloads returns the handler of the host that links point to.
func (s *Simulator) Downloads() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+downloadPath, s.serveDownload)
	mux.HandleFunc("HEAD /{$}", http.NotFound) // somebody looks whether the host answers
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.judge.broke("%s %s is not a download link", r.Method, r.URL.Path)
		http.NotFound(w, r)
	})
	return mux
}

func (s *Simulator) serveDownload(w http.ResponseWriter, r *http.Request) {
	now := s.now()
	w.Header().Set("X-Ms-Request-Id", RequestIDOf(KindDownload, s.count(KindDownload)))
	if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
		s.judge.leaked("the download host")
	}
	if encoding := r.Header.Get("Accept-Encoding"); encoding != "identity" {
		s.judge.broke("a download was requested with Accept-Encoding %q", encoding)
	}
	s.mu.Lock()
	l, known := s.links[r.URL.Query().Get(tokenParam)]
	var way Download
	switch {
	case !known:
		way = DownloadExpiredXML
	case !now.Before(l.expires):
		way = s.faults.ExpirySymptom
		if way == DownloadPlain {
			way = DownloadExpiredJSON
		}
	default:
		way = s.faults.download(l.action.ID, l.action.downloads)
		if r.Header.Get("Range") == "" && !r.URL.Query().Has(redirectedParam) {
			l.action.downloads++
		} else {
			way = DownloadPlain // resumes a download that was already counted
		}
	}
	s.mu.Unlock()
	id := ""
	if known {
		id = l.action.ID
	}
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	defer func() { s.judge.called(KindDownload, id, now, recorder.status) }()
	s.download(recorder, r, l.action, way)
}

// download responds in the given way.
func (s *Simulator) download(w http.ResponseWriter, r *http.Request, a *action, way Download) {
	switch way {
	case DownloadExpiredJSON:
		answer(w, http.StatusUnauthorized, map[string]string{"message": "Expired token"})
	case DownloadExpiredXML:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error>"+
			"<Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request."+
			"</Message><AuthenticationErrorDetail>Signature not valid in the specified time frame"+
			"</AuthenticationErrorDetail></Error>")
	case DownloadNothing:
		w.WriteHeader(http.StatusOK)
	case DownloadError:
		http.Error(w, "simulated fault", http.StatusInternalServerError)
	case DownloadHTML:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Sign in to the proxy</title>")
	case DownloadElsewhere:
		http.Redirect(w, r, "https://attacker.example/package.zip", http.StatusFound)
	case DownloadRedirected:
		http.Redirect(w, r, r.URL.Path+"?"+r.URL.RawQuery+"&"+redirectedParam+"=1", http.StatusFound)
	default:
		s.send(w, r, a, way)
	}
}

// send sends all or part of the package.
func (s *Simulator) send(w http.ResponseWriter, r *http.Request, a *action, way Download) {
	w.Header().Set("Content-Type", "application/zip")
	var content io.ReadSeeker = io.NewSectionReader(a.pkg, 0, a.pkg.size)
	half := a.pkg.size / 2
	sent := &counter{ResponseWriter: w}
	switch way {
	case DownloadChunked, DownloadTruncated:
		length := a.pkg.size
		if way == DownloadTruncated {
			length = half
		}
		flush(sent)
		_, _ = io.CopyN(sent, content, length)
	case DownloadNoRange, DownloadCutNoRange:
		length := a.pkg.size
		if way == DownloadCutNoRange {
			length = half
		}
		w.Header().Set("Content-Length", fmt.Sprint(a.pkg.size))
		_, _ = io.CopyN(sent, content, length)
	default:
		w.Header().Set("ETag", fmt.Sprintf("%q", a.pkg.sha256()[:32]))
		if way == DownloadCorrupt {
			content = &corrupted{SectionReader: io.NewSectionReader(a.pkg, 0, a.pkg.size), from: a.pkg.size - 60}
		}
		sent.stop = map[Download]int64{DownloadCut: half, DownloadStalled: half, DownloadSlow: half}[way]
		sent.stalls = way == DownloadStalled || way == DownloadSlow
		sent.forever = way == DownloadStalled
		sent.request = r
		http.ServeContent(sent, r, "", time.Time{}, content)
	}
	if way == DownloadCutNoRange {
		flush(sent)
		panic(http.ErrAbortHandler)
	}
	whole := sent.n == a.pkg.size || (r.Header.Get("Range") != "" && sent.n > 0)
	if whole && way != DownloadCorrupt {
		s.judge.finished(a)
	}
}

func flush(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush() // if flushing fails, the response is only sent later
}

// counter counts the bytes of a body and breaks off or pauses after stop bytes.
type counter struct {
	http.ResponseWriter
	request *http.Request
	n       int64
	stop    int64 // 0: never
	stalls  bool  // pause at stop instead of breaking off
	forever bool
}

// Unwrap gives http.ResponseController access to the writer.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

func (c *counter) Write(p []byte) (int, error) {
	if c.stop > 0 && c.n+int64(len(p)) > c.stop {
		n, err := c.ResponseWriter.Write(p[:max(0, c.stop-c.n)])
		c.n += int64(n)
		if err != nil {
			return n, err
		}
		flush(c)
		c.breakOff()
		c.stop = 0
		p = p[n:]
		m, err := c.ResponseWriter.Write(p)
		c.n += int64(m)
		return n + m, err
	}
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	return n, err
}

// breakOff closes the connection, or waits if the download stalls.
func (c *counter) breakOff() {
	if !c.stalls {
		panic(http.ErrAbortHandler)
	}
	timer := time.NewTimer(slowPause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			if !c.forever {
				return
			}
		case <-c.request.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
}

// corrupted reads zeros from some offset on.
type corrupted struct {
	*io.SectionReader
	from int64
}

func (c *corrupted) Read(p []byte) (int, error) {
	at, err := c.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	n, err := c.SectionReader.Read(p)
	for i := range p[:n] {
		if at+int64(i) >= c.from {
			p[i] = 0
		}
	}
	return n, err
}
