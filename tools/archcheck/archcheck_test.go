package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/concord-suite/concord/tools/internal/workspace"
)

var modules = &workspace.Workspace{Modules: []workspace.Module{
	{Dir: "allinone"}, {Dir: "gateway"}, {Dir: "platform"}, {Dir: "proto"}, {Dir: "services/auth"}, {Dir: "services/connector"},
	{Dir: "sim"}, {Dir: "test"},
}}

func TestWhoMayImportWhom(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test     bool
		allowed  bool
	}{
		{"platform/serve", "proto/gen/concord/options/v1", false, true},
		{"platform/audit", "proto/gen/concord/events/audit/v1", false, true},
		{"platform/serve", "proto/gen/concord/auth/v1", false, false},
		{"platform/serve", "proto/gen/concord/auth/v1", true, false},
		{"platform/serve", "services/auth", false, false},
		{"platform/events", "proto/gen/concord/events/sync/v1", true, true},
		{"platform/events", "proto/gen/concord/events/sync/v1", false, false},
		{"platform/events", "platform/sqldb/sqldbtest", false, false},
		{"platform/events", "platform/sqldb/sqldbtest", true, true},
		{"proto", "platform/config", true, false},
		{"sim/xpm", "platform/config", false, false},
		{"services/auth", "proto/gen/concord/sync/v1", false, true},
		{"services/auth/internal/api", "platform/rpcerr", false, true},
		{"services/auth/internal/session", "proto/gen/concord/auth/v1", false, false},
		{"services/auth/internal/session", "platform/sqldb", false, false},
		{"services/auth/internal/session", "platform/sqldb/sqldbtest", true, true},
		{"services/auth/internal/delivery", "platform/telemetry", false, true},
		{"services/auth", "services/connector", false, false},
		{"services/auth", "services/connector", true, false},
		{"services/connector/internal/xpm", "sim/xpm", true, true},
		{"services/connector/internal/xpm", "sim/xpm", false, false},
		{"services/auth", "gateway", false, false},
		{"gateway", "services/auth", false, false},
		{"gateway/internal/rest", "platform/dial", false, true},
		{"allinone", "services/auth", false, true},
		{"allinone", "services/auth/cmd/auth", false, false},
		{"allinone", "gateway/internal/rest", false, false},
		{"allinone", "sim/world", false, true},
		{"test/e2e", "sim/world", true, true},
		{"test/e2e", "platform/sqldb/sqldbtest", true, true},
		{"test/e2e", "platform/sqldb", true, false},
		{"test/e2e", "services/auth", true, false},
		{"services/auth/internal/api", "services/auth/internal/session", false, true},
		{"services/auth/internal/api", "services/auth/internal/store", false, true},
		{"services/auth/internal/store", "services/auth/internal/session", false, true},
		{"services/auth/internal/store", "services/auth/internal/api", false, false},
		{"services/auth/internal/session", "services/auth/internal/store", false, false},
		{"services/auth/internal/session", "services/auth/internal/password", false, true},
		{"services/auth/internal/inbound", "services/auth/internal/api", false, false},
		{"services/connector/internal/provider/xpm", "services/connector/internal/store", false, true},
		{"services/connector/internal/connection", "services/connector/internal/provider/xpm", false, false},
		{"services/connector/internal/store", "services/connector/internal/provider/xpm", false, false},
		{"services/connector/internal/api", "services/connector/internal/provider/xpm", false, true},
		{"services/auth/internal/api", "services/auth", false, false},
		{"services/auth", "services/auth/internal/api", false, true},
	} {
		u := use{module: moduleOf(modules, c.from), at: c.from, to: moduleOf(modules, c.to), toPath: c.to, test: c.test}
		if why := u.refused(); (why == "") != c.allowed {
			t.Errorf("%s -> %s (test %v): allowed %v, answer %q", c.from, c.to, c.test, c.allowed, why)
		}
	}
}

func TestNATSServerOnlyInAllInOne(t *testing.T) {
	p := pkg{ImportPath: workspace.Prefix + "platform/events", module: "platform", Imports: []string{natsServer + "v2/server"}}
	if len(p.importBreaks(modules)) != 1 {
		t.Error("platform imports the server and nobody says so")
	}
	p = pkg{ImportPath: workspace.Prefix + "platform/events", module: "platform", TestImports: []string{natsServer + "v2/server"}}
	if found := p.importBreaks(modules); len(found) != 0 {
		t.Error("tests may", found)
	}
	p = pkg{ImportPath: workspace.Prefix + "allinone", module: "allinone", Imports: []string{natsServer + "v2/server"}}
	if found := p.importBreaks(modules); len(found) != 0 {
		t.Error("the all-in-one may", found)
	}
}

func TestShape(t *testing.T) {
	p := pkg{ImportPath: workspace.Prefix + "platform/utils", GoFiles: make([]string, 13)}
	if found := p.shapeBreaks(); len(found) != 2 {
		t.Error(found)
	}
	p = pkg{ImportPath: workspace.Prefix + "proto/gen/concord/auth/v1", GoFiles: make([]string, 13)}
	if found := p.shapeBreaks(); len(found) != 0 {
		t.Error("generated packages are not counted", found)
	}
}

// codeBreaksOf runs the code rules over one file with this content.
func codeBreaksOf(t *testing.T, path, code string) []string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, path), []byte(code), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := codeBreaks(root, path)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestCode(t *testing.T) {
	head := "package p\nimport (\n\"time\"; \"os\"; \"log\"; \"net/http\"; \"net\"\nc \"github.com/concord-suite/concord/proto/gen/concord/auth/v1\"\n" +
		"\"github.com/concord-suite/concord/platform/sqldb\"\n)\n"
	for _, c := range []struct {
		path, body string
		want       string // part of the one break; empty for none
	}{
		{"services/a/a.go", "func f() { time.Sleep(1) }", "time.Sleep"},
		{"services/a/a_test.go", "func f() { time.Sleep(1) }", "time.Sleep"},
		{"services/a/a.go", "func f() { _ = time.Now() }", "time.Now"},
		{"services/a/a.go", "func f(t time.Time) { _ = time.Since(t) }", "time.Since"},
		{"services/a/a.go", "var now = time.Now", ""},
		{"services/a/a.go", "func f(c net.Conn) { c.SetReadDeadline(time.Now()) }", ""},
		{"services/a/a_test.go", "func f() { _ = time.Now() }", ""},
		{"services/a/atest/a.go", "func f() { _ = time.Now() }", ""},
		{"services/a/a.go", "func f(time struct{ Now func() int }) { time.Now() }", ""},
		{"services/a/a.go", "func f() { os.Exit(1) }", "os.Exit"},
		{"services/a/a.go", "func f() { log.Fatalf(\"\") }", "log.Fatalf"},
		{"services/a/a_test.go", "func f() { os.Exit(1) }", ""},
		{"services/a/a.go", "func f() { os.Getenv(\"A\") }", "platform/config"},
		{"services/a/a.go", "func init() {}", "no init"},
		{"services/a/a.go", "type t int\nfunc (t) init() {}", ""},
		{"services/a/a.go", "func f(db *sqldb.DB, x c.AuthClient) { db.Tx(nil, func(tx *sqldb.Tx) error { x.Get(nil, &c.GetRequest{}); return nil }) }", "remote call"},
		{"services/a/a.go", "func f(db *sqldb.DB) { db.Tx(nil, func(tx *sqldb.Tx) error { http.Get(\"\"); return nil }) }", "remote call"},
		{"services/a/a.go", "func f(db *sqldb.DB, x c.AuthClient) { x.Get(nil, &c.GetRequest{}) }", ""},
	} {
		found := codeBreaksOf(t, c.path, head+c.body)
		if c.want == "" && len(found) > 0 || c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)) {
			t.Errorf("%s: %s\nwant %q, found %q", c.path, c.body, c.want, found)
		}
	}
}

func TestMainIsShort(t *testing.T) {
	long := "package main\n" + strings.Repeat("// line\n", 50) + "func main() {}\n"
	if found := codeBreaksOf(t, "services/a/cmd/a/main.go", long); len(found) != 1 {
		t.Error(found)
	}
	if found := codeBreaksOf(t, "services/a/cmd/a/main.go", "package main\nimport \"os\"\nfunc main() { os.Exit(1) }\n"); len(found) != 0 {
		t.Error(found)
	}
}
