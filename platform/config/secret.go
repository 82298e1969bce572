package config

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// Secret is the type of a secret that may be replaced while the process runs: given by a file, it can be read again there.
type Secret struct{ text, path string }

// Text is what was given at the start.
func (s Secret) Text() string { return s.text }

// Latest is what its file says now; for a secret that was given in another way what Text is. The error, that the file cannot
// be read or is empty, repeats nothing of it.
func (s Secret) Latest() (string, error) {
	if s.path == "" {
		return s.text, nil
	}
	text, err := readSecret(s.path)
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		return "", errors.New("its file cannot be read: " + file.Err.Error())
	case err != nil:
		return "", err
	case text == "":
		return "", errors.New("its file is empty")
	}
	return text, nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Secret) UnmarshalText(text []byte) error {
	s.text = string(text)
	return nil
}

// String hides the secret from whoever prints settings.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return redacted
}

// readSecret reads a file with a secret; the newline at its end is none of it.
func readSecret(path string) (string, error) {
	data, err := os.ReadFile(path)
	return strings.TrimRight(string(data), "\r\n"), err
}
