package journal

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
)

// batch is how many records share a line in a compacted file: few enough to keep lines short, many
// enough that the checksum costs nothing.
const batch = 200

// Compact writes the state given by each into a new file and puts it in the old one's place. each
// calls yield once per record and returns yield's error. A crash at any point leaves the old file or
// the new one, complete.
func (l *Log) Compact(each func(yield func(Record) error) error) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	path := filepath.Join(l.dir, fileName)
	file, size, err := writeState(path+".new", each)
	if err != nil {
		l.base = l.size
		return fmt.Errorf("rewrite the state: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		file.Close()
		l.base = l.size
		return fmt.Errorf("rewrite the state: %w", err)
	}
	l.file.Close()
	l.file, l.size, l.base, l.synced = file, size, size, l.mark
	return syncDir(l.dir)
}

func writeState(path string, each func(yield func(Record) error) error) (*os.File, int64, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, 0, err
	}
	out := bufio.NewWriterSize(file, 1<<20)
	var pending []Record
	var size int64
	flush := func() error {
		line, err := encode(pending)
		if err != nil || len(pending) == 0 {
			return err
		}
		pending = pending[:0]
		size += int64(len(line))
		_, err = out.Write(line)
		return err
	}
	err = each(func(r Record) error {
		if pending = append(pending, r); len(pending) < batch {
			return nil
		}
		return flush()
	})
	for _, step := range []func() error{flush, out.Flush, file.Sync} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		file.Close()
		os.Remove(path)
		return nil, 0, err
	}
	return file, size, nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
