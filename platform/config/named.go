package config

import (
	"errors"
	"io/fs"
	"os"
	"reflect"
	"strings"
)

// Unread lists the settings of a service that name a file (their keys end in "_file") which cannot be read here and now. It is
// no mistake of the settings: they may be meant for another place, or the file be made later.
func Unread(service string, cfgs ...any) (Mistakes, error) {
	fields, _, err := walk(cfgs)
	if err != nil {
		return nil, err
	}
	var all Mistakes
	for _, f := range fields {
		if !strings.HasSuffix(f.key, "_file") || f.secret || f.value.Kind() != reflect.String || f.value.String() == "" {
			continue
		}
		path := f.value.String()
		if err := readable(path); err != nil {
			all = append(all, Mistake{Key: f.key, Variable: Prefix(service) + f.variable, Rule: path + " cannot be read: " + err.Error()})
		}
	}
	return all, nil
}

// readable says why a file cannot be read, in the system's words without its path.
func readable(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() { // a pipe would be waited for
		return errors.New("it is no file")
	}
	if err == nil {
		var file *os.File
		if file, err = os.Open(path); err == nil {
			return file.Close()
		}
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
