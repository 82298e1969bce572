package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"github.com/concord-suite/concord/platform/sqldb"
	"github.com/concord-suite/concord/platform/vault"
)

// explain says in plain words what kept a program from running.
func explain(err error) string {
	var listening *net.OpError
	if errors.As(err, &listening) && listening.Op == "listen" {
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Sprintf("the address %s is taken by another program", listening.Addr)
		case errors.Is(err, syscall.EACCES):
			return fmt.Sprintf("this user may not listen on %s: choose a port above 1023", listening.Addr)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Sprintf("%s is no address of this machine", listening.Addr)
		}
	}
	switch {
	case errors.Is(err, vault.ErrMounted):
		return strings.TrimPrefix(err.Error(), "vault: ")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, sqldb.ErrDiskFull):
		return "the disk is full: " + err.Error()
	case errors.Is(err, sqldb.ErrReadOnly), errors.Is(err, syscall.EROFS):
		return "the database can't be written by this user: " + err.Error()
	}
	var opening *sqldb.Error
	if errors.As(err, &opening) && opening.Op == "open" && error(opening) == err {
		return opening.Details()
	}
	return err.Error()
}

// explainFile says in one plain line what keeps a settings file from being used.
func explainFile(err error) string {
	var file *fs.PathError
	if errors.As(err, &file) {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			return fmt.Sprintf("the configuration file %s does not exist", file.Path)
		case errors.Is(err, syscall.EISDIR):
			return fmt.Sprintf("the configuration file %s is a directory", file.Path)
		case errors.Is(err, fs.ErrPermission):
			return fmt.Sprintf("the configuration file %s can't be read by this user", file.Path)
		}
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
