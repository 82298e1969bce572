// Package journal keeps a set of keyed JSON values on disk so that a process killed at any moment
// finds them again.
//
// One file holds everything: the state as it was when the file was begun, followed by each commit
// since. A commit is one line, "crc32 [records]", so it is there whole or not at all. When the file
// has grown far beyond the state it describes, Compact begins a new one and renames it into place.
//
// The package does not know what the values mean and keeps none of them in memory.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
)

const (
	fileName = "world.journal"
	lockName = "world.lock"

	// slack is how much the file may grow beyond twice the size of the state before it is worth
	// writing the state again. 16 MiB is some 10,000 changed clients: rare enough to be unnoticed,
	// small enough that a restart reads it in well under a second.
	slack = 16 << 20
)

// ErrLocked is returned by Open when another process has the folder open.
var ErrLocked = errors.New("another process is using this folder")

// Record is one value of one kind. A nil Value says that the key is gone.
type Record struct {
	Kind  string          `json:"k"`
	ID    string          `json:"i"`
	Value json.RawMessage `json:"v,omitempty"`
}

// Mark is a position in the journal, as returned by Append and taken by Sync.
type Mark uint64

// Log is an open journal. Append and Compact must not run at the same time; Sync may run any time.
type Log struct {
	dir  string
	lock *os.File

	mu     sync.Mutex // guards file, size, base, broken
	file   *os.File
	size   int64 // bytes in the file
	base   int64 // bytes the last compaction wrote
	mark   Mark  // commits appended
	broken error // set when the file can no longer be trusted

	syncMu sync.Mutex
	synced Mark
}

// Open reads the journal in dir, giving each record in order to apply, and leaves it open for more.
// The folder is created if missing. A last line that was cut short by a crash is dropped; damage
// anywhere else is an error that names the line. ErrLocked is returned while somebody else has it.
func Open(dir string, apply func(Record) error) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create the state folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	l := &Log{dir: dir, lock: lock}
	if err := l.load(apply); err != nil {
		lock.Close()
		return nil, err
	}
	return l, nil
}

func (l *Log) load(apply func(Record) error) error {
	path := filepath.Join(l.dir, fileName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("open the state: %w", err)
	}
	good, err := replay(file, apply)
	if err == nil {
		err = file.Truncate(good)
	}
	if err != nil {
		file.Close()
		return fmt.Errorf("read the state in %s: %w", path, err)
	}
	l.file, l.size, l.base = file, good, good
	return nil
}

// replay applies every whole commit and returns the length of the part that is good.
func replay(r io.Reader, apply func(Record) error) (int64, error) {
	in := bufio.NewReaderSize(r, 1<<20)
	var good int64
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if err == io.EOF {
			return good, nil // a line without its end was being written when the process died
		}
		if err != nil {
			return good, err
		}
		records, err := decode(text)
		if err != nil {
			if _, more := in.Peek(1); more == io.EOF {
				return good, nil
			}
			return good, fmt.Errorf("line %d is damaged: %w", line, err)
		}
		for _, rec := range records {
			if err := apply(rec); err != nil {
				return good, fmt.Errorf("line %d: %w", line, err)
			}
		}
		good += int64(len(text))
	}
}

// encode writes a commit as one line. It builds the JSON by hand in one buffer: the values are JSON
// already, and the first commit of a large practice is tens of megabytes.
func encode(records []Record) ([]byte, error) {
	line := append(make([]byte, 0, 1024), "00000000 ["...)
	for i, r := range records {
		key, err := json.Marshal(struct {
			Kind string `json:"k"`
			ID   string `json:"i"`
		}{r.Kind, r.ID})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, key[:len(key)-1]...)
		if r.Value != nil {
			line = append(append(line, `,"v":`...), r.Value...)
		}
		line = append(line, '}')
	}
	line = append(line, ']')
	copy(line, fmt.Sprintf("%08x", crc32.ChecksumIEEE(line[len("00000000 "):])))
	return append(line, '\n'), nil
}

func decode(line []byte) ([]Record, error) {
	sum, body, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) {
		return nil, errors.New("checksum does not match")
	}
	var records []Record
	return records, json.Unmarshal(body, &records)
}

// Append writes one commit. It reaches the operating system before Append returns, so it survives
// the death of the process; Sync makes it survive the death of the machine. On an error nothing of
// the commit stays.
func (l *Log) Append(records []Record) (Mark, error) {
	line, err := encode(records)
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	if _, err := l.file.Write(line); err != nil {
		if cut := l.file.Truncate(l.size); cut != nil {
			l.broken = fmt.Errorf("the state can no longer be written: %w", cut)
		}
		return 0, fmt.Errorf("write the state: %w", err)
	}
	l.size += int64(len(line))
	l.mark++
	return l.mark, nil
}

// Sync returns once everything up to mark is on the disk. Callers that wait together share one
// flush.
func (l *Log) Sync(mark Mark) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.synced >= mark {
		return nil
	}
	l.mu.Lock()
	file, upTo := l.file, l.mark
	l.mu.Unlock()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("flush the state: %w", err)
	}
	l.synced = upTo
	return nil
}

// Bloated reports whether the file has outgrown its state enough for Compact to be worth it.
func (l *Log) Bloated() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size > 2*l.base+slack
}

// Close flushes and closes the journal and lets others open the folder.
func (l *Log) Close() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := errors.Join(l.file.Sync(), l.file.Close(), l.lock.Close())
	l.broken = os.ErrClosed
	return err
}
