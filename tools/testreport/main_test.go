package main

import (
	"strings"
	"testing"
)

// feed reports the events and returns what was printed and whether all is well.
func feed(t *testing.T, lines ...string) (string, bool) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	ok := r.finish()
	return out.String(), ok
}

const passed = `{"Action":"pass","Package":"p","Test":"TestA"}`

func TestReport(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		ok    bool
		want  string
	}{
		"all passed":    {[]string{passed, `{"Action":"pass","Package":"p","Elapsed":0.5}`}, true, "1 passed, 0 failed, 0 skipped"},
		"nothing ran":   {[]string{`{"Action":"skip","Package":"p"}`}, false, "0 passed, 0 failed, 0 skipped"},
		"a skip fails":  {[]string{passed, `{"Action":"skip","Package":"p","Test":"TestB"}`}, false, "1 passed, 0 failed, 1 skipped"},
		"failures show": {[]string{`{"Action":"output","Package":"p","Test":"TestB","Output":"why\n"}`, `{"Action":"fail","Package":"p","Test":"TestB"}`}, false, "why\n"},
		"no build":      {[]string{passed, `{"ImportPath":"p","Action":"build-output","Output":"x.go:1: no\n"}`, `{"ImportPath":"p","Action":"build-fail"}`, `{"Action":"fail","Package":"p"}`}, false, "x.go:1: no"},
		"panic outside": {[]string{passed, `{"Action":"output","Package":"p","Test":"TestC","Output":"panic: boom\n"}`, `{"Action":"fail","Package":"p"}`}, false, "panic: boom"},
		"unended beside a failure": {[]string{`{"Action":"fail","Package":"q","Test":"TestB"}`, `{"Action":"fail","Package":"q"}`,
			`{"Action":"output","Package":"p","Test":"TestC","Output":"SIGQUIT\n"}`, `{"Action":"fail","Package":"p"}`}, false, "SIGQUIT"},
		"kept is said": {[]string{passed, `{"Action":"output","Package":"p","Output":"ok  \tp\t(cached)\n"}`, `{"Action":"pass","Package":"p"}`}, true,
			"1 packages passed before, and nothing that they depend on has changed\n1 passed"},
		"passed is quiet": {[]string{`{"Action":"output","Package":"p","Test":"TestA","Output":"noise\n"}`, passed}, true, "1 passed"},
		"other lines":     {[]string{"go: downloading x", passed}, true, "go: downloading x"},
	} {
		out, ok := feed(t, c.lines...)
		if ok != c.ok || !strings.Contains(out, c.want) {
			t.Errorf("%s: ok %v, printed:\n%s", name, ok, out)
		}
		if strings.Contains(out, "noise") {
			t.Errorf("%s: shows the output of a passed test", name)
		}
	}
}

func TestACommandThatFailsSilentlyIsAFailure(t *testing.T) {
	var out strings.Builder
	r := newReport(&out)
	if err := r.run([]string{"sh", "-c", "echo '" + passed + "'; exit 3"}); err != nil {
		t.Fatal(err)
	}
	if r.finish() {
		t.Error(out.String())
	}
}

func TestSplit(t *testing.T) {
	got := split([]string{"--", "a", "b", "--", "c"})
	if len(got) != 2 || len(got[0]) != 2 || got[1][0] != "c" {
		t.Error(got)
	}
	if split([]string{"a"}) != nil {
		t.Error("a command without -- before it was taken")
	}
}
