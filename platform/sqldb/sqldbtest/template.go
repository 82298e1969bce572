package sqldbtest

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// templates are SQLite files that were brought up, by what they were brought up by: to copy one costs a tenth of applying
// some dozens of migrations, which hundreds of tests of a service do.
var templates sync.Map // [sha256.Size]byte -> []byte

// prepared puts a copy at the url of a SQLite file that is not there yet, when one was brought up by the same migrations
// before. The func that it returns keeps a copy of the first one; it is called when that is brought up.
func prepared(t testing.TB, url string, migrations fs.FS) (keep func()) {
	t.Helper()
	keep = func() {}
	path, isFile := strings.CutPrefix(url, "sqlite:")
	if migrations == nil || !isFile || exists(path) {
		return keep
	}
	key := digest(t, migrations)
	if content, known := templates.Load(key); known {
		if err := os.WriteFile(path, content.([]byte), 0o600); err != nil {
			t.Fatalf("copy the test database: %v", err)
		}
		return keep
	}
	return func() { templates.Store(key, snapshot(t, path)) }
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// digest tells migrations apart by names and content.
func digest(t testing.TB, migrations fs.FS) (key [sha256.Size]byte) {
	t.Helper()
	hash := sha256.New()
	err := fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations, path)
		sum := sha256.Sum256(content)
		hash.Write([]byte(path + "\x00"))
		hash.Write(sum[:])
		return err
	})
	if err != nil {
		t.Fatalf("read the migrations: %v", err)
	}
	copy(key[:], hash.Sum(nil))
	return key
}

// snapshot is a whole copy of a SQLite file that is open. The driver is the one that sqldb registers.
func snapshot(t testing.TB, path string) []byte {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatalf("copy the test database: %v", err)
	}
	defer func() { _ = db.Close() }()
	into := filepath.Join(t.TempDir(), "template.db")
	if _, err = db.Exec(`VACUUM INTO ?`, into); err != nil {
		t.Fatalf("copy the test database: %v", err)
	}
	content, err := os.ReadFile(into)
	if err != nil {
		t.Fatalf("copy the test database: %v", err)
	}
	return content
}
