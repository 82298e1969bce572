package blob

import "os"

// OpenLocalNamed opens a store that stages under names, as on systems without nameless files.
func OpenLocalNamed(root string) (*Local, error) {
	stage, err := newNamed(root)
	return &Local{root: root, stage: stage, known: map[string]bool{}}, err
}

// OpenLocalOn opens a store that stages in the files that open makes.
func OpenLocalOn(root string, open func() (*os.File, error)) (*Local, error) {
	stage, err := newNamed(root)
	return &Local{root: root, stage: on{stager: stage, file: open}, known: map[string]bool{}}, err
}

type on struct {
	stager
	file func() (*os.File, error)
}

func (o on) open() (*os.File, error) { return o.file() }
func (o on) close(f *os.File)        { _ = f.Close() }
