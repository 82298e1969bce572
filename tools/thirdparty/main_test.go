package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestParse(t *testing.T) {
	list := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(list, []byte("# comment\n\nexample.com/m v1.0.0 h1:sum folder a.proto b.proto\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	sources, err := parse(list)
	if err != nil || len(sources) != 1 || len(sources[0].files) != 2 || sources[0].sum != "h1:sum" {
		t.Error(sources, err)
	}
	if err := os.WriteFile(list, []byte("example.com/m v1.0.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := parse(list); err == nil {
		t.Error("a line without sum and files was accepted")
	}
}
