package sqldbtest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Exec runs a statement as the owner of the server.
func (c *Cluster) Exec(t testing.TB, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	if err := c.admin(ctx, statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Role makes a user of the server who, unlike its owner, needs a password, and a namespace of theirs. As returns the URL for
// a password.
func (c *Cluster) Role(t testing.TB, name, password string) (as func(password string) (url string)) {
	t.Helper()
	c.Exec(t, "CREATE ROLE "+name+" LOGIN PASSWORD '"+password+"'")
	c.Exec(t, "CREATE SCHEMA "+name+" AUTHORIZATION "+name)
	rules := filepath.Join(c.data(), "pg_hba.conf")
	before, err := os.ReadFile(rules)
	if err == nil { // the first rule that fits counts
		err = os.WriteFile(rules, append([]byte("local all "+name+" scram-sha-256\n"), before...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Exec(t, "SELECT pg_reload_conf()")
	as = func(password string) string {
		return "postgres:///postgres?host=" + c.dir + "&user=" + name + "&password=" + password + "&sslmode=disable&search_path=" + name
	}
	c.awaitRefusal(t, as(password+"-not"))
	return as
}

// awaitRefusal waits until the server has read its rules again, which it does in its own time.
func (c *Cluster) awaitRefusal(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err != nil && ctx.Err() == nil {
			return
		}
		if err == nil {
			_ = conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			t.Fatal("the server does not ask for passwords")
		case <-tick.C:
		}
	}
}
