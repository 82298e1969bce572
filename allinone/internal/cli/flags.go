package cli

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/concord-suite/concord/allinone/internal/front"
	"github.com/concord-suite/concord/platform/config"
)

// logLevels are what --log-level takes.
var logLevels = []string{"debug", "info", "warn", "error"}

// parse reads flags. What is wrong with them is in the mistakes, so that it can be said together with what is wrong with
// their values; the error is flag.ErrHelp when help was asked for and printed.
func (p process) parse(f *flag.FlagSet, args []string) (*mistakes, error) {
	err := config.ParseFlags(f, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(p.out, "usage: concord %s [FLAGS]\n", f.Name())
		f.SetOutput(p.out)
		f.PrintDefaults()
		return nil, err
	}
	m := &mistakes{}
	return m, m.take(err)
}

// mistakes gathers what is wrong with flags and settings. A flag that is named once is not named again: what could not be
// read has no value to be wrong.
type mistakes struct{ all config.Mistakes }

func (m *mistakes) add(key, rule string) {
	named := func(one config.Mistake) bool { return one.Key == key }
	if !slices.ContainsFunc(m.all, named) {
		m.all = append(m.all, config.Mistake{Key: key, Rule: rule})
	}
}

// take takes the mistakes out of an error; any other error comes back.
func (m *mistakes) take(err error) error {
	var more config.Mistakes
	if !errors.As(err, &more) {
		return err
	}
	m.all = append(m.all, more...)
	return nil
}

// err is nil when nothing is wrong.
func (m *mistakes) err() error {
	if len(m.all) == 0 {
		return nil
	}
	return m.all
}

// check looks at the values of the flags that serve and run share.
func (c *common) check(m *mistakes) {
	if c.dataDir == "" {
		m.add("--data-dir", "is required, the directory that keeps everything")
	}
	if err := checkAddress(c.httpAddr); err != nil {
		m.add("--http-addr", err.Error())
	}
	if c.grpcAddr != "" {
		err := checkAddress(c.grpcAddr)
		if err == nil {
			err = front.CheckAddress(c.grpcAddr)
		}
		if err != nil {
			m.add("--grpc-addr", err.Error())
		}
	}
	if !slices.Contains(logLevels, c.logLevel) {
		m.add("--log-level", fmt.Sprintf("must be one of %s, not %q", strings.Join(logLevels, ", "), c.logLevel))
	}
}

// checkAddress says what is wrong with the words of an address; whether it can be had shows later.
func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("must be host:port, not %q", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("must have a port from 0 to 65535, not %q", address)
	}
	return nil
}
