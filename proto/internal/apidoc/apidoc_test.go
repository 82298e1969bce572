package apidoc_test

import (
	"os"
	"strings"
	"testing"

	"github.com/concord-suite/concord/proto/internal/apidoc"
)

// page is where the table is committed.
const page = "../../../docs/api/methods.md"

// A method with two addresses shows both.
func TestPageHasEveryAddress(t *testing.T) {
	for _, address := range []string{"staff/*}:reinstatePin`", "contactLogins/*}:reinstatePin`"} {
		if !strings.Contains(apidoc.Page(), address) {
			t.Errorf("%s is missing", address)
		}
	}
}

// The committed page is what the contract gives. CONCORD_UPDATE=1 writes it.
func TestPageIsCurrent(t *testing.T) {
	_ = os.Getenv("SOURCES_DIGEST") // the page lies outside this module (Makefile)
	want := apidoc.Page()
	if os.Getenv("CONCORD_UPDATE") == "1" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the contract gives; run CONCORD_UPDATE=1 go test ./internal/apidoc", page)
	}
}
