//go:build !linux

package blob

import "os"

func newStager(root string) (stager, error) { return newNamed(root) }

func syncData(f *os.File) error { return f.Sync() }

// startWriting does nothing: there is no portable way to hint.
func startWriting(*os.File, int64, int64) {}
