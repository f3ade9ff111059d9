package contents_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/contents"
	"packhorse/internal/investigation"
	"packhorse/internal/zipinspect"
)

func members(names ...string) []zipinspect.Member {
	var all []zipinspect.Member
	for i, name := range names {
		all = append(all, zipinspect.Member{Name: name, Size: int64(i) << 10, Encrypted: i == 1})
	}
	return all
}

func TestFind(t *testing.T) {
	t.Parallel()
	all := members("Autoruns/AutoRuns.csv", "autoruns.csv", "AUTORUNS.CSV", "logs/a/Security.evtx", `win\Users\ntuser.dat`,
		"logs/", "twice.txt", "twice.txt", "[x].txt", "\x1b[2J.txt", "#3", "..\\..\\evil.exe")
	for name, want := range map[string]int{
		"autoruns.csv": 1, "AUTORUNS.CSV": 2, "autoruns/autoruns.csv": 0, "Autoruns/AutoRuns.csv": 0,
		"security.evtx": 3, "*.evtx": 3, "logs/*/*.evtx": 3, "a/security.evtx": 3, "NTUSER.DAT": 4, "users/ntuser.dat": 4,
		"logs/": 5, "[x].txt": 8, "#1": 0, "#7": 6, "#8": 7, "\x1b[2J.txt": 9, "#12": 11, "evil.exe": 11,
	} {
		if got, err := contents.Find(all, name); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"", "#0", "#13", "#1x", "#01", "urity.evtx", "[", "log?", "nope"} {
		_, err := contents.Find(all, name)
		if none, ok := errors.AsType[*contents.NotFoundError](err); !ok || none.Advice() == "" || none.Files != len(all) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, count := range map[string]int{"AutoRuns.csv": 2, "twice.txt": 2, "*.txt": 4} {
		_, err := contents.Find(all, name)
		ambiguous, ok := errors.AsType[*contents.AmbiguousError](err)
		if !ok || len(ambiguous.Candidates) != count || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := contents.Find(all, "twice.txt")
	if ambiguous, _ := errors.AsType[*contents.AmbiguousError](err); ambiguous == nil ||
		!strings.Contains(ambiguous.Advice(), "'#7'") {
		t.Errorf("%v", err)
	}
	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprint(i, "/a.txt"))
	}
	_, err = contents.Find(members(many...), "A.TXT")
	if err == nil || !strings.HasSuffix(err.Error(), "\n  and 490 more") || strings.Count(err.Error(), "\n") != 11 {
		t.Errorf("%v", err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	d := zipinspect.Directory{
		Members: members("a.txt", "b\x1b]0;x\x07\nc", "\xff\xfe"),
		Content: investigation.Content{Entries: 3, UncompressedSize: 3 << 10, Remarks: []string{"1 name is\x1b odd."}},
	}
	var out bytes.Buffer
	if err := contents.Table(&out, d, 0, 80); err != nil {
		t.Fatal(err)
	}
	want := "3 files, 3.0 KiB unpacked, as the ZIP's directory says:\n" +
		"  #  SIZE     NAME\n  1  0 B      a.txt\n  2  1.0 KiB  b ]0;x  c  (encrypted)\n  3  2.0 KiB  ��\n  ! 1 name is  odd.\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := contents.Table(&out, d, 1, 0); err != nil || !strings.Contains(out.String(), "  … 2 more: --limit 0 shows all\n") {
		t.Errorf("%s, %v", out.String(), err)
	}
	text, err := json.Marshal(contents.NewListing(d))
	if err != nil || !strings.Contains(string(text), `{"number":2,"name":"b\u001b]0;x\u0007\nc","size":1024,`) {
		t.Errorf("%s, %v", text, err)
	}
	text, err = json.Marshal(contents.NewListing(zipinspect.Directory{}))
	if err != nil || string(text) != `{"files":[],"uncompressedSize":0,"remarks":[]}` {
		t.Errorf("%s, %v", text, err)
	}
}
