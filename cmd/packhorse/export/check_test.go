package export_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/export"
	"packhorse/internal/manifest"
	"packhorse/internal/verify/verifytest"
)

// programs are all that exists where an export is checked. It needs no root and no container: the shell gets an
// empty environment, and its PATH is a folder with nothing but these.
var programs = []string{"sh", "openssl", "sha256sum"}

type checked struct {
	code int
	text string
}

// emptyPlace returns a folder with only the programs.
func emptyPlace(t testing.TB) string {
	t.Helper()
	bin := t.TempDir()
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatalf("checking an export takes %s: %v", program, err)
		}
		if err := os.Symlink(path, filepath.Join(bin, program)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

// check unpacks an export and runs the commands of its own CHECK.txt.
func check(t testing.TB, path string, told ...string) checked {
	t.Helper()
	if strings.HasSuffix(path, ".zip") {
		path = unpacked(t, path)
	}
	bin := emptyPlace(t)
	return shell(t, bin, path, append([]string{"CHECK.txt"}, told...), nil)
}

// unpacked writes an export into a new folder.
func unpacked(t testing.TB, path string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "unpacked")
	for name, body := range tree(t, path) {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, body, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func shell(t testing.TB, bin, dir string, args []string, stdin []byte) checked {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "sh"), args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, []string{"PATH=" + bin}, bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return checked{cmd.ProcessState.ExitCode(), string(out)}
}

// fingerprints returns what the sender would tell the recipient.
func fingerprints(r export.Result) []string {
	told := []string{r.SumsSHA256}
	for _, key := range r.Index.Keys {
		told = append(told, key.ID)
	}
	return told
}

// TestCheck: where only a shell, openssl and sha256sum exist, the commands of CHECK.txt check a folder and a ZIP,
// run as a script and pasted; and they say what the sender's fingerprints add.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	bin := emptyPlace(t)
	for _, ending := range []string{"", ".zip"} {
		path := filepath.Join(t.TempDir(), "x"+ending)
		got, err := run(t, w, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		told := fingerprints(got)
		for name, c := range map[string]struct {
			told []string
			code int
			want []string
		}{
			"all":         {told, 0, []string{"\nOK: every file", "you were told of this key", "it is the one that you were told of"}},
			"the key":     {told[1:], 0, []string{"\nOK: every file", "not compared; its SHA-256 is " + told[0]}},
			"the sums":    {told[:1], 4, []string{"\nOK BUT NOT TRUSTED", "NOT COMPARED"}},
			"nothing":     {nil, 4, []string{"\nOK BUT NOT TRUSTED", "NOT COMPARED"}},
			"another key": {[]string{strings.Repeat("a", 64)}, 1, []string{"\nFAIL", "WRONG: nothing here has the fingerprint aaaa"}},
			"no digits":   {[]string{"*"}, 1, []string{"\nFAIL", "WRONG: "}},
		} {
			out := check(t, path, c.told...)
			for _, want := range c.want {
				if out.code != c.code || !strings.Contains(out.text, want) {
					t.Errorf("x%s, told %s: exit %d, without %q: %s", ending, name, out.code, want, out.text)
				}
			}
		}
		dir := path
		if ending != "" {
			dir = unpacked(t, path)
		}
		text, err := os.ReadFile(filepath.Join(dir, "CHECK.txt"))
		if err != nil {
			t.Fatal(err)
		}
		pasted := bytes.Replace(text, []byte(`told="$*"`), []byte(`told="`+strings.Join(told, " ")+`"`), 1)
		if out := shell(t, bin, dir, nil, pasted); out.code != 0 || !strings.Contains(out.text, "\nOK: every file") {
			t.Errorf("x%s, pasted: exit %d: %s", ending, out.code, out.text)
		}
	}
}

// TestCheckByHand: the three commands for one package that CHECK.txt, index.html and the report show.
func TestCheckByHand(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	bin := emptyPlace(t)
	path := filepath.Join(t.TempDir(), "x")
	got, err := run(t, w, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := tree(t, path)
	example := got.Index.Example()
	var script []string
	for _, line := range lines(all["CHECK.txt"]) {
		if text, ok := strings.CutPrefix(line, "#     "); ok && !strings.HasPrefix(text, "    prints") {
			script = append(script, text)
		}
	}
	at := slices.IndexFunc(script, func(line string) bool { return strings.HasPrefix(line, "openssl pkey") })
	out := shell(t, bin, path, nil, []byte(strings.Join(script[at:], "\n")))
	want := example.KeyID + "  -\nVerified OK\n" + example.SHA256 + "  " + example.Files.Object + "\n"
	if out.code != 0 || out.text != want {
		t.Errorf("exit %d: got %q, want %q", out.code, out.text, want)
	}
	for _, line := range strings.Split(strings.ReplaceAll(strings.Join(script[at:], "\n"), "\\\n", ""), "\n") {
		for word := range strings.FieldsSeq(line) {
			if strings.Contains(word, "/") && (!bytes.Contains(all["index.html"], []byte(word)) ||
				!bytes.Contains(all[example.Files.Report], []byte(word))) {
				t.Errorf("index.html or the report lacks %s", word)
			}
		}
	}
}

// forger changes an export in a folder, and knows how to make it agree with itself again.
type forger struct {
	t   *testing.T
	dir string
}

func (f forger) path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

func (f forger) read(name string) []byte {
	f.t.Helper()
	body, err := os.ReadFile(f.path(name))
	if err != nil {
		f.t.Fatal(err)
	}
	return body
}

func (f forger) write(name string, body []byte) {
	f.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(f.path(name)), 0o700), os.WriteFile(f.path(name), body, 0o600)); err != nil {
		f.t.Fatal(err)
	}
}

func (f forger) flip(name string, at int) {
	body := f.read(name)
	body[(at+len(body))%len(body)] ^= 1
	f.write(name, body)
}

func (f forger) remove(name string) {
	f.t.Helper()
	if err := os.Remove(f.path(name)); err != nil {
		f.t.Fatal(err)
	}
}

// resum makes SHA256SUMS agree with the files.
func (f forger) resum() {
	f.t.Helper()
	all := tree(f.t, f.dir)
	var text []string
	for name, body := range all {
		if name != "SHA256SUMS" {
			text = append(text, digest(body)+"  "+name+"\n")
		}
	}
	slices.Sort(text)
	f.write("SHA256SUMS", []byte(strings.Join(text, "")))
}

// resign signs every record with a key of the forger's, who says in each that it is the key.
func (f forger) resign(id string) (own string) {
	f.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	key, err := manifest.NewKey("", &private.PublicKey)
	if err != nil {
		f.t.Fatal(err)
	}
	pem, err := key.PEM()
	if err != nil {
		f.t.Fatal(err)
	}
	for name, body := range tree(f.t, f.dir) {
		if !strings.HasSuffix(name, ".json") || name == "index.json" {
			continue
		}
		body = bytes.ReplaceAll(body, []byte(id), []byte(key.ID))
		sum := sha256.Sum256(body)
		signature, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
		if err != nil {
			f.t.Fatal(err)
		}
		f.write(name, body)
		f.write(name+".sig", signature)
	}
	f.write("signing-keys/"+key.ID+".pem", pem)
	return key.ID
}

// forgeries are all that somebody may do to an export, each with what the check must say of it. Those with sums
// also make SHA256SUMS agree again, as a forger would.
var forgeries = map[string]struct {
	sums bool
	do   func(f forger, id string)
	want string
}{
	"the first byte of a package":   {false, func(f forger, _ string) { f.flip(a+".zip", 0) }, a + ".zip: FAILED"},
	"the last byte of a package":    {false, func(f forger, _ string) { f.flip(a+".zip", -1) }, a + ".zip: FAILED"},
	"a byte of a package, and sums": {true, func(f forger, _ string) { f.flip(a+".zip", 99) }, a + ".zip is not the one that its record names"},
	"a byte more, and sums": {true, func(f forger, _ string) { f.write(a+".zip", append(f.read(a+".zip"), 0)) },
		a + ".zip is not the one"},
	"packages swapped, and sums": {true, func(f forger, _ string) {
		one, other := f.read(a+".zip"), f.read(b+".zip")
		f.write(a+".zip", other)
		f.write(b+".zip", one)
	}, b + ".zip is not the one"},
	"something in quarantine, and sums": {true, func(f forger, _ string) { f.flip("quarantine/"+nameOf(5)+".bin", 3) },
		"quarantine/" + nameOf(5) + ".bin is not the one"},
	"a byte of a record":           {false, func(f forger, _ string) { f.flip(a+".json", 50) }, a + ".json: none of the keys signed it"},
	"a byte of a record, and sums": {true, func(f forger, _ string) { f.flip(a+".json", 50) }, a + ".json: none of the keys signed it"},
	"a record says another sum, and sums": {true, func(f forger, _ string) {
		was := digest(f.read(a + ".zip"))
		f.flip(a+".zip", 99)
		f.write(a+".json", bytes.ReplaceAll(f.read(a+".json"), []byte(was), []byte(digest(f.read(a+".zip")))))
	}, a + ".json: none of the keys signed it"},
	"records swapped, and sums": {true, func(f forger, _ string) {
		for _, ending := range []string{".json", ".json.sig"} {
			one, other := f.read(a+ending), f.read(b+ending)
			f.write(a+ending, other)
			f.write(b+ending, one)
		}
	}, a + ".zip is not the one"},
	"why there is none, and sums": {true, func(f forger, _ string) { f.flip("not-collected/"+nameOf(4)+".json", 50) },
		"not-collected/" + nameOf(4) + ".json: none of the keys signed it"},
	"signatures swapped": {false, func(f forger, _ string) {
		one, other := f.read(a+".json.sig"), f.read(b+".json.sig")
		f.write(a+".json.sig", other)
		f.write(b+".json.sig", one)
	}, a + ".json: none of the keys signed it"},
	"signatures swapped, and sums": {true, func(f forger, _ string) { f.write(a+".json.sig", f.read(b+".json.sig")) },
		a + ".json: none of the keys signed it"},
	"an empty signature, and sums": {true, func(f forger, _ string) { f.write(a+".json.sig", nil) }, a + ".json: none of the keys signed it"},
	"another key under the name, and sums": {true, func(f forger, id string) {
		own := f.resign(id)
		f.write("signing-keys/"+id+".pem", f.read("signing-keys/"+own+".pem"))
		f.remove("signing-keys/" + own + ".pem")
	}, ".pem holds another key, "},
	"all signed with another key, and sums": {true, func(f forger, id string) {
		f.resign(id)
		f.remove("signing-keys/" + id + ".pem")
	}, "nothing here has the fingerprint "},
	"all signed with another key beside the true one, and sums": {true, func(f forger, id string) { f.resign(id) }, "NOT COMPARED"},
	"a key that is none, and sums":                              {true, func(f forger, id string) { f.write("signing-keys/"+id+".pem", []byte("x")) }, "holds another key"},
	"a package missing":                                         {false, func(f forger, _ string) { f.remove(a + ".zip") }, a + ".zip"},
	"a package missing, and sums":                               {true, func(f forger, _ string) { f.remove(a + ".zip") }, a + ".zip is missing; its record is here"},
	"a record missing":                                          {false, func(f forger, _ string) { f.remove(a + ".json") }, a + ".json"},
	"a record missing, and sums":                                {true, func(f forger, _ string) { f.remove(a + ".json") }, a + ".zip is not the one"},
	"a signature missing, and sums":                             {true, func(f forger, _ string) { f.remove(a + ".json.sig") }, a + ".json: none of the keys signed it"},
	"the key missing, and sums":                                 {true, func(f forger, id string) { f.remove("signing-keys/" + id + ".pem") }, "nothing here has the fingerprint"},
	"a report missing":                                          {false, func(f forger, _ string) { f.remove(a + ".html") }, a + ".html"},
	"the sums missing":                                          {false, func(f forger, _ string) { f.remove("SHA256SUMS") }, "WRONG: "},
	"the index changed":                                         {false, func(f forger, _ string) { f.flip("index.html", 700) }, "index.html: FAILED"},
	"a file added":                                              {false, func(f forger, _ string) { f.write("x", nil) }, "x is not in SHA256SUMS"},
	"a hidden file added":                                       {false, func(f forger, _ string) { f.write(".x", nil) }, ".x is not in SHA256SUMS"},
	"a file with dots added":                                    {false, func(f forger, _ string) { f.write("..x", nil) }, "..x is not in SHA256SUMS"},
	"a package added":                                           {false, func(f forger, _ string) { f.write("packages/x y.zip", f.read(a+".zip")) }, "x y.zip is not in SHA256SUMS"},
	"a hidden package added":                                    {false, func(f forger, _ string) { f.write("packages/.x.zip", nil) }, ".x.zip is not in SHA256SUMS"},
	"a package added, and sums":                                 {true, func(f forger, _ string) { f.write("packages/x.zip", f.read(a+".zip")) }, "packages/x.zip is not the one"},
	"a folder added":                                            {false, func(f forger, _ string) { f.write("new/x", nil) }, "new is not in SHA256SUMS"},
	"a folder in a folder":                                      {false, func(f forger, _ string) { f.write("packages/new/x", nil) }, "packages/new is not in SHA256SUMS"},
	"a link added": {false, func(f forger, _ string) {
		if err := os.Symlink("nowhere", f.path("packages/link")); err != nil {
			f.t.Fatal(err)
		}
	}, "packages/link is not in SHA256SUMS"},
	"a line of the sums changed": {false, func(f forger, _ string) { f.flip("SHA256SUMS", 0) }, "WRONG: "},
	"a line of the sums removed": {false, func(f forger, _ string) {
		all := f.read("SHA256SUMS")
		f.write("SHA256SUMS", all[bytes.IndexByte(all, '\n')+1:])
	}, "CHECK.txt is not in SHA256SUMS"},
	"a line of the sums damaged": {false, func(f forger, _ string) {
		was := digest(f.read("index.csv"))
		f.flip("index.csv", 10)
		f.write("SHA256SUMS", bytes.Replace(f.read("SHA256SUMS"), []byte(was), []byte("not-a-sum"), 1))
	}, "SHA256SUMS has a line that is not a sum: index.csv"},
	"a package left out with its papers, and sums": {true, func(f forger, _ string) {
		for _, ending := range []string{".zip", ".json", ".json.sig", ".html"} {
			f.remove(a + ending)
		}
	}, "nothing here has the fingerprint"},
}

// Two packages.
var a, b = "packages/" + nameOf(1), "packages/" + nameOf(2)

// TestForgeries: the commands of CHECK.txt notice whatever is done to an export, given the fingerprints.
func TestForgeries(t *testing.T) {
	t.Parallel()
	w := verifytest.New(t)
	zipped := filepath.Join(t.TempDir(), "x.zip")
	got, err := run(t, w, zipped, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, forgery := range forgeries {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := forger{t, unpacked(t, zipped)}
			forgery.do(f, got.Index.Keys[0].ID)
			told := fingerprints(got)
			if forgery.sums {
				f.resum()
				if !strings.Contains(forgery.want, "nothing here") {
					told = told[1:] // the sender did not tell the sum of the sums, which alone shows all of these
				}
			}
			out := check(t, f.dir, told...)
			if out.code == 0 || !strings.Contains(out.text, forgery.want) {
				t.Errorf("exit %d, without %q: %s", out.code, forgery.want, out.text)
			}
		})
	}
}
