package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// Watch returns a channel that receives after a transaction of this process that called Notify with the same topic was
// committed, and a function that ends the watch. Notifications that arrive while one is waiting are dropped: the channel
// says "look again", not what changed. Other processes are not heard; who needs them polls as well.
func (db *DB) Watch(topic string) (changed <-chan struct{}, stop func()) {
	ch := make(chan struct{}, 1)
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.watchers[topic] == nil {
		db.watchers[topic] = map[chan struct{}]struct{}{}
	}
	db.watchers[topic][ch] = struct{}{}
	return ch, func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		delete(db.watchers[topic], ch)
	}
}

// Notify wakes everybody in this process who watches topic, once the transaction is committed.
func (tx *Tx) Notify(topic string) {
	tx.AfterCommit(func() {
		tx.db.mu.Lock()
		defer tx.db.mu.Unlock()
		for ch := range tx.db.watchers[topic] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	})
}

// lockIdle is after how long a PostgreSQL server takes the lock from a holder that says nothing: the holder's process
// is frozen or its network is gone. Holders call Check several times as often.
const lockIdle = "15s"

// Lock is a lock outside any transaction, held until Release or until its holder is gone.
type Lock struct {
	db   *DB
	key  string
	conn *sql.Conn // PostgreSQL only
}

// TryLock takes the lock named key and returns nil when somebody else holds it. It is for work that one process at a
// time should do, such as publishing; it does not replace transactions, since a holder may learn late that it lost it.
//
// On PostgreSQL the lock is held by a connection of its own and the server gives it to others when that connection ends
// or, after 15 seconds without Check, when the holder is frozen. It needs a direct connection or one pooled per
// session. On SQLite the lock excludes others in the same process only.
func (db *DB) TryLock(ctx context.Context, key string) (*Lock, error) {
	if db.dialect == SQLite {
		db.mu.Lock()
		defer db.mu.Unlock()
		if _, held := db.locks[key]; held {
			return nil, nil
		}
		db.locks[key] = struct{}{}
		return &Lock{db: db, key: key}, nil
	}
	conn, err := db.acquire(ctx, db.write)
	if err != nil {
		return nil, err
	}
	l := &Lock{db: db, key: key, conn: conn}
	var got bool
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '/' || $1, 1))`, key).Scan(&got)
	if err == nil && got {
		_, err = conn.ExecContext(ctx, `SET idle_session_timeout = '`+lockIdle+`'`)
	}
	if err != nil {
		l.drop()
		return nil, db.dialect.classify(ctx, "lock", err)
	}
	if !got {
		_ = conn.Close()
		return nil, nil
	}
	return l, nil
}

// Check returns an error when the lock may be held by somebody else by now, also on another server, where the URL is another
// one (Config.Latest). The holder calls it every few seconds.
func (l *Lock) Check(ctx context.Context) error {
	if l.conn == nil {
		return nil
	}
	var one int
	err := l.conn.QueryRowContext(ctx, `SELECT 1`).Scan(&one)
	if err == nil {
		err = l.conn.Raw(func(conn any) error { return current(ctx, conn) })
	}
	return l.db.dialect.classify(ctx, "lock", err)
}

// current fails for a connection that the pool would not use again, as it is of another URL than that of now.
func current(ctx context.Context, conn any) error {
	if c, ok := conn.(driver.SessionResetter); ok {
		return c.ResetSession(ctx)
	}
	return nil
}

// Release gives the lock to others.
func (l *Lock) Release() {
	if l.conn != nil {
		l.drop()
		return
	}
	l.db.mu.Lock()
	defer l.db.mu.Unlock()
	delete(l.db.locks, l.key)
}

// drop ends the connection, and with it whatever it holds on the server.
func (l *Lock) drop() {
	discardConn(l.conn)
	_ = l.conn.Close()
}
