package build_test

import (
	"runtime/debug"
	"strings"
	"testing"

	"packhorse/cmd/packhorse/build"
)

// info returns what the toolchain knows of a build from a commit.
func info(revision, modified string) *debug.BuildInfo {
	return &debug.BuildInfo{
		GoVersion: "go1.26.0", Main: debug.Module{Path: "packhorse/cmd/packhorse", Version: "v0.0.0-2026"},
		Settings: []debug.BuildSetting{
			{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}, {Key: "vcs.revision", Value: revision},
			{Key: "vcs.time", Value: "2026-11-24T09:00:00Z"}, {Key: "vcs.modified", Value: modified},
		},
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	full := build.Facts{
		Version: "v1.2.0", Commit: "abc", CommitTime: "2026-11-24T09:00:00Z", Go: "go1.26.0", Platform: "linux/arm64",
		Module: "packhorse/cmd/packhorse",
	}
	with := func(change func(*build.Facts)) build.Facts {
		f := full
		change(&f)
		return f
	}
	for name, c := range map[string]struct {
		linked build.Linked
		info   *debug.BuildInfo
		want   build.Facts
	}{
		"told": {build.Linked{"v1.2.0", "abc", ""}, info("abc", "false"), full},
		"told, with changes": {build.Linked{"v1.2.0-dirty", "abc", ""}, info("abc", "false"), with(func(f *build.Facts) {
			f.Version, f.Dirty = "v1.2.0-dirty", true
		})},
		"changes that only the toolchain saw": {build.Linked{"v1.2.0", "abc", ""}, info("abc", "true"), with(func(f *build.Facts) {
			f.Dirty = true
		})},
		"not told": {build.Linked{build.Unknown, build.Unknown, build.Unknown}, info("abc", "false"), with(func(f *build.Facts) {
			f.Version = "v0.0.0-2026"
		})},
		"built within another repository": {build.Linked{"v1.2.0", "abc", ""}, info("def", "true"), with(func(f *build.Facts) {
			f.CommitTime = ""
		})},
		"the commit's time was told, too": {
			build.Linked{"v1.2.0", "abc", "2026-11-24T10:00:00Z"}, info("def", "true"),
			with(func(f *build.Facts) { f.CommitTime = "2026-11-24T10:00:00Z" }),
		},
		"nothing": {build.Linked{build.Unknown, "", ""}, nil, build.Facts{Version: build.Unknown, Commit: build.Unknown}},
	} {
		if got := build.Of(c.linked, c.info); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
	var out strings.Builder
	err := build.Of(build.Linked{"v1.2.0", "abc", ""}, info("abc", "true")).Print(&out)
	const want = "packhorse v1.2.0\ncommit    abc of 2026-11-24T09:00:00Z, with changes\n" +
		"built     with go1.26.0 for linux/arm64, module packhorse/cmd/packhorse\n"
	if err != nil || out.String() != want {
		t.Errorf("got %q, %v", out.String(), err)
	}
}
