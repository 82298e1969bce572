package boot

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/concord-suite/concord/platform/sqldb"
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
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, sqldb.ErrDiskFull):
		return "the disk is full: " + err.Error()
	case errors.Is(err, sqldb.ErrReadOnly), errors.Is(err, syscall.EROFS):
		return "the database can't be written by this user: " + err.Error()
	}
	return err.Error()
}
