package sqldb_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/sqldb/sqldbtest"
)

func TestConstraintsAreNamedTheSameWay(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		require.NoError(t, exec(db, `INSERT INTO items (id, firm, code) VALUES ('a', 'acme', 'X1')`))
		require.NoError(t, exec(db, `INSERT INTO parts (id, item) VALUES (1, 'a')`))
		for _, c := range []struct {
			query, constraint string
			kind              error
		}{
			{`INSERT INTO items (id, firm) VALUES ('a', 'acme')`, "items_pkey", sqldb.ErrConflict},
			{`INSERT INTO parts (id, item) VALUES (1, 'a')`, "parts_pkey", sqldb.ErrConflict},
			{`INSERT INTO items (id, firm, code) VALUES ('b', 'acme', 'X1')`, "items_firm_code_key", sqldb.ErrConflict},
			{`INSERT INTO items (id, firm, code) VALUES ('b', 'acme', 'x1')`, "items_low_code", sqldb.ErrConflict},
			{`INSERT INTO parts (id, item) VALUES (2, 'nobody')`, "", sqldb.ErrConflict},
			{`DELETE FROM items`, "", sqldb.ErrConflict},
			{`UPDATE items SET n = -2000000000`, "items_n_positive", sqldb.ErrInvalid},
			{`INSERT INTO items (id) VALUES ('c')`, "items.firm", sqldb.ErrInvalid},
		} {
			err := exec(db, c.query)
			require.ErrorIs(t, err, c.kind, c.query)
			if c.query == `INSERT INTO items (id, firm, code) VALUES ('b', 'acme', 'X1')` {
				require.Contains(t, []string{"items_firm_code_key", "items_low_code"}, sqldb.Constraint(err), "violates both")
				continue
			}
			require.Equal(t, c.constraint, sqldb.Constraint(err), c.query)
		}
	})
}

// No value that went into the database may come back inside an error: errors reach logs.
func TestErrorsQuoteNoValues(t *testing.T) {
	const secret = "s3cr3t-value"
	each(t, func(t *testing.T, db *sqldb.DB) {
		put(t, db, secret)
		for _, err := range []error{
			exec(db, `INSERT INTO items (id, firm) VALUES ($1, 'acme')`, secret),
			exec(db, `INSERT INTO parts (id, item) VALUES (1, $1)`, secret+"2"),
			exec(db, `INSERT INTO items (id, firm, n) VALUES ('b', 'acme', $1)`, secret),
			exec(db, `INSERT INTO items (id, firm, n) VALUES ('b', 'acme', CAST(cast($1 AS text) AS integer))`, secret+"\x00"),
			db.Tx(context.Background(), func(tx *sqldb.Tx) error {
				var n int
				return tx.QueryRow(`SELECT id FROM items`).Scan(&n)
			}),
		} {
			require.Error(t, err)
			for e := err; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, e.Error(), secret)
			}
		}
	})
}

func TestAMistakeInAStatementIsNamed(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		require.ErrorContains(t, exec(db, `UPDATE items SET nonsense = 1`), "nonsense")
	})
}

func TestNoRowIsNotFound(t *testing.T) {
	each(t, func(t *testing.T, db *sqldb.DB) {
		tx(t, db, func(tx *sqldb.Tx) error {
			var id string
			require.ErrorIs(t, tx.QueryRow(`SELECT id FROM items`).Scan(&id), sqldb.ErrNotFound)
			_, err := tx.Exec(`INSERT INTO items (id, firm) VALUES ('after', 'acme')`) // and the transaction goes on
			return err
		})
		require.Equal(t, "after", one[string](t, db, `SELECT id FROM items`))
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	notADB := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(notADB, []byte("this is certainly no database, but it is long enough to be one"), 0o600))
	readOnly := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(readOnly, 0o500))
	if os.Getuid() == 0 {
		readOnly = "/sys" // file permissions do not stop root
	}
	for url, words := range map[string]string{
		"":                                     "starts with",
		"mysql://x":                            "starts with",
		"sqlite:":                              "path of a file",
		"sqlite::memory:":                      "path of a file",
		"sqlite:x.db?mode=ro":                  "path of a file",
		"sqlite:" + dir + "/no/such/dir/x.db":  "does not exist",
		"sqlite:" + notADB:                     "not a database",
		"sqlite:" + readOnly + "/x.db":         "can not be written",
		"postgres://u:hunter2@host:notaport/x": "not a valid postgres:// URL",
		"postgres://u:hunter2@127.0.0.1:1/x":   "no connection",
		strings.Replace(sqldbtest.URL(t, sqldb.Postgres), ":///postgres", ":///nowhere", 1): "no such database",
		"postgres:///nope?host=" + t.TempDir():                                              "no connection",
	} {
		db, err := sqldb.Open(context.Background(), sqldb.Config{URL: url})
		if err == nil {
			_ = db.Close()
		}
		require.ErrorContains(t, err, words, url)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestAFileThatTheURLNamesIsNamed(t *testing.T) {
	dir := t.TempDir()
	empty, missing := filepath.Join(dir, "empty.pem"), filepath.Join(dir, "missing.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	const start = "postgres://me:hunter2@127.0.0.1:1/things?sslmode=verify-full&"
	for url, want := range map[string]string{
		start + "sslrootcert=" + missing:                  "database_url names " + missing + " (sslrootcert), which cannot be read: no such file or directory",
		start + "sslrootcert=" + dir:                      "database_url names " + dir + " (sslrootcert), which cannot be read: is a directory",
		start + "sslrootcert=" + empty:                    "database_url names " + empty + " (sslrootcert), which holds no certificate in PEM",
		start + "sslkey=" + missing + "&sslcert=" + empty: "database_url names " + missing + " (sslkey), which cannot be read: no such file or directory",
		start + "sslkey=" + empty + "&sslcert=" + empty:   "database_url names " + empty + " (sslkey), which holds no key in PEM",
		start + "sslmode=never":                           "database_url is not a valid postgres:// URL",
	} {
		_, err := sqldb.Open(t.Context(), sqldb.Config{URL: url})
		require.EqualError(t, err, want, url)
	}
	t.Setenv("PGSSLROOTCERT", missing)
	_, err := sqldb.Open(t.Context(), sqldb.Config{URL: start})
	require.EqualError(t, err, "database_url needs the file "+missing+", which cannot be read: no such file or directory")
}

// Which server it is, and why, is for logs and commands alone.
func TestWhyNoConnectionCameAboutIsSaid(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	require.NoError(t, err)
	defer silent.Close()
	sockets := t.TempDir()
	for url, want := range map[string][2]string{
		"postgres://me:hunter2@127.0.0.1:1/things": {
			"no connection to the database",
			"no connection to the database at 127.0.0.1:1 (refused): see that the server runs, and listens there",
		},
		"postgres://me:hunter2@nowhere..here/things": { // which is asked of no server, having an empty label
			"no connection to the database",
			"no connection to the database at nowhere..here:5432 (no such host): correct the host in the database's URL",
		},
		"postgres://me:hunter2@" + silent.Addr().String() + "/things?connect_timeout=1": {
			"it does not answer",
			"no connection to the database at " + silent.Addr().String() + " (timed out): " +
				"see that the server runs, and that no firewall or network policy keeps it away",
		},
		"postgres://me:hunter2@127.0.0.1:1,nowhere..here:2/things": {
			"no connection to the database",
			"no connection to the database at 127.0.0.1:1, nowhere..here:2 (no such host, refused): " +
				"see that the server runs, and that the database's URL has its address",
		},
		"postgres://me:hunter2@/things?host=" + sockets: {
			"no connection to the database",
			"no connection to the database at " + sockets + "/.s.PGSQL.5432 (no such socket): see that the server runs, and has its socket there",
		},
	} {
		_, err := sqldb.Open(t.Context(), sqldb.Config{URL: url})
		require.ErrorIs(t, err, sqldb.ErrBusy, url)
		var said *sqldb.Error
		require.ErrorAs(t, err, &said)
		require.Equal(t, want, [2]string{said.Words(), said.Details()}, url)
		require.NotContains(t, err.Error(), "127.0.0.1", "what may reach others names no address")
	}
}

func TestWhyACertificateOfAServerIsRefusedIsSaid(t *testing.T) {
	valid := time.Hour
	for name, c := range map[string]struct {
		names  []string
		until  time.Duration
		mode   string
		known  bool
		plain  string
		detail string
	}{
		"another name": {
			[]string{"db", "db.things"}, valid, "verify-full", true, "the certificate of the server is for another name than the database's URL has",
			"the certificate of the server is for db, db.things, not for 127.0.0.1: correct the host in the database's URL, or the certificate",
		},
		"an unknown authority":                 {[]string{"127.0.0.1"}, valid, "verify-full", false, unknownAuthority, unknownAuthority},
		"an unknown authority, whatever names": {[]string{"db"}, valid, "verify-ca", false, unknownAuthority, unknownAuthority},
		"an old one":                           {[]string{"db"}, -valid, "verify-ca", true, expired, expired},
	} {
		own, ca := certificate(t, c.until, c.names...)
		if !c.known {
			_, ca = certificate(t, valid, "other")
		}
		file := filepath.Join(t.TempDir(), "ca.pem")
		require.NoError(t, os.WriteFile(file, ca, 0o600))
		address := greets(t, own)
		_, err := sqldb.Open(t.Context(), sqldb.Config{URL: "postgres://me:hush@" + address + "/things?sslmode=" + c.mode + "&sslrootcert=" + file})
		require.ErrorIs(t, err, sqldb.ErrBusy, name)
		var said *sqldb.Error
		require.ErrorAs(t, err, &said)
		require.Equal(t, c.plain, said.Words(), name)
		require.Equal(t, c.detail, said.Details(), name)
	}
}

const (
	unknownAuthority = "the certificate of the server is by an authority that is not known (sslrootcert in the database's URL)"
	expired          = "the certificate of the server has expired, or does not count yet"
)

// certificate makes one that is its own authority.
func certificate(t *testing.T, until time.Duration, names ...string) (own tls.Certificate, ca []byte) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(until), IsCA: true, BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// greets is the address of a server that offers TLS, and nothing more.
func greets(t *testing.T, own tls.Certificate) (address string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { lis.Close() })
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil { // the request for TLS
				_, _ = conn.Write([]byte("S"))
				_ = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}}).Handshake()
			}
			_ = conn.Close()
		}
	}()
	return lis.Addr().String()
}

// A server that offers no TLS says so with one byte, and nothing more.
func TestAServerWithoutTheTLSThatTheURLAsksFor(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer lis.Close()
	go func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil { // the request for TLS
				_, _ = conn.Write([]byte("N"))
			}
			_ = conn.Close()
		}
	}()
	_, err = sqldb.Open(t.Context(), sqldb.Config{URL: "postgres://me:hush@" + lis.Addr().String() + "/things?sslmode=require"})
	require.ErrorIs(t, err, sqldb.ErrBusy)
	var said *sqldb.Error
	require.ErrorAs(t, err, &said)
	require.Equal(t, "the server offers no TLS, which the database's URL asks for (sslmode)", said.Words())
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	url := sqldbtest.URL(t, sqldb.SQLite)
	db := sqldbtest.Open(t, url, schema)
	put(t, db, "a")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(url[len("sqlite:"):] + suffix)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), suffix)
	}
}

func TestFullDiskIsSaidPlainly(t *testing.T) {
	db := sqldbtest.Open(t, sqldbtest.URL(t, sqldb.SQLite), schema)
	put(t, db, "before")
	require.NoError(t, exec(db, `PRAGMA max_page_count = 30`)) // as full as a disk can be made to look from here
	err := db.Tx(context.Background(), func(tx *sqldb.Tx) error {
		if _, err := tx.Exec(`UPDATE items SET n = 1`); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE items SET data = $1`, make([]byte, 1<<20))
		return err
	})
	require.ErrorIs(t, err, sqldb.ErrDiskFull)
	require.ErrorContains(t, err, "no room left")
	require.EqualValues(t, 0, one[int64](t, db, `SELECT n FROM items`))
}

// fullVariable makes TestNoRoomForTheFileBesideTheDatabase's own process the one that cannot make a file larger.
const fullVariable = "TEST_OF_CONCORD_FULL_DATABASE"

// TestNoRoomForTheFileBesideTheDatabase: SQLite makes one beside the database when it is opened, and calls a full disk
// another name there.
func TestNoRoomForTheFileBesideTheDatabase(t *testing.T) {
	if path := os.Getenv(fullVariable); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 100, Max: 100}))
		_, err := sqldb.Open(context.Background(), sqldb.Config{URL: "sqlite:" + path})
		require.ErrorIs(t, err, sqldb.ErrDiskFull)
		require.ErrorContains(t, err, "no room left")
		return
	}
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: "sqlite:" + path})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	cmd := osexec.Command(os.Args[0], "-test.run=^TestNoRoomForTheFileBesideTheDatabase$", "-test.v")
	cmd.Env = append(os.Environ(), fullVariable+"="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
