package sim

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/concord-suite/concord/sim/practice"
)

// Mistake is one thing that is wrong with a Config.
type Mistake struct {
	Flag string // the name of its flag, "clients"
	Rule string // in words that follow the name
}

// Mistakes is the error of Start for a wrong Config: all that is wrong with it, one line each.
type Mistakes []Mistake

// Error returns one line for each mistake: "clients: must be 1 to 200000".
func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, one := range m {
		lines[i] = one.Flag + ": " + one.Rule
	}
	return strings.Join(lines, "\n")
}

// Check says what is wrong, as Start would, and touches nothing.
func (c Config) Check() Mistakes {
	_, wrong := c.complete()
	return wrong
}

// complete fills in defaults, reads the practice, and says in words what cannot be, all of it at once.
func (c Config) complete() (Config, Mistakes) {
	if c.HTTPAddr == "" {
		c.HTTPAddr = "127.0.0.1:0"
	}
	if c.SMTPAddr == "" {
		c.SMTPAddr = "127.0.0.1:0"
	}
	if c.Clients == 0 {
		c.Clients = DefaultClients
	}
	if c.Contacts == 0 {
		c.Contacts = DefaultContacts
	}
	if c.ClockFactor == 0 {
		c.ClockFactor = 1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var wrong Mistakes
	mistake := func(flag, format string, args ...any) {
		wrong = append(wrong, Mistake{Flag: flag, Rule: fmt.Sprintf(format, args...)})
	}
	for _, at := range []struct{ flag, addr string }{{"http-addr", c.HTTPAddr}, {"smtp-addr", c.SMTPAddr}} {
		if err := checkAddr(at.addr, c.AllowRemote); err != nil {
			mistake(at.flag, "%v", err)
		}
	}
	if c.Clients < 1 || c.Clients > maxClients {
		mistake("clients", "must be 1 to %d", maxClients)
	}
	if c.Contacts < 1 || c.Contacts > maxClients {
		mistake("contacts", "must be 1 to %d", maxClients)
	}
	if !(c.ClockFactor >= 1 && c.ClockFactor <= maxFactor) { // so that NaN is refused too
		mistake("clock-factor", "must be 1 to %d", maxFactor)
	}
	if c.Practice != "" {
		var err error
		if c.read, err = practice.Read(c.Practice, c.Now()); err != nil {
			mistake("practice", "%s", strings.TrimPrefix(err.Error(), "practice: "))
		}
	}
	if c.WebhookURL != "" {
		if u, err := url.Parse(c.WebhookURL); err != nil || u.Host == "" || c.WebhookKey == "" {
			mistake("webhook-url", "must be an address, with a webhook-key")
		} else if err := checkHost(u.Hostname(), c.AllowRemote); err != nil {
			mistake("webhook-url", "%v", err)
		}
	}
	for i, app := range c.Apps {
		if app.ClientID == "" || app.Name == "" {
			mistake("apps", "app %d needs a client id and a name", i+1)
		}
	}
	return c, wrong
}

const (
	// maxClients is far above any practice; beyond it the world would need gigabytes.
	maxClients = 200_000
	// maxFactor makes a minute pass in 6 ms; faster, the windows are shorter than a call.
	maxFactor = 10_000
)

func checkAddr(addr string, allowRemote bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q has no port from 0 to 65535", addr)
	}
	if checkHost(host, allowRemote) == nil {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; the world can be changed by whoever reaches it (allow-remote permits this)", addr)
}

func checkHost(host string, allowRemote bool) error {
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() || allowRemote {
		return nil
	}
	return fmt.Errorf("%q is not this machine (allow-remote permits this)", host)
}
