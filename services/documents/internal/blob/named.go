package blob

import (
	"crypto/rand"
	"os"
	"path/filepath"
)

// named stages in a folder beside the blobs, under names nobody can guess, for file systems and systems where a file
// must have a name. What a dead process leaves there is taken away by Reclaim.
type named struct{ dir string }

func newNamed(root string) (stager, error) {
	n := named{dir: filepath.Join(root, stagingDir)}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	f, err := n.open()
	if err != nil {
		return nil, err
	}
	n.close(f)
	return n, nil
}

func (n named) open() (*os.File, error) {
	return os.OpenFile(filepath.Join(n.dir, rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// link fails when path exists, as rename would not.
func (n named) link(f *os.File, path string) error { return os.Link(f.Name(), path) }

func (n named) close(f *os.File) {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
