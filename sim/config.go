package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// complete fills in defaults and says in words what cannot be, all of it at once.
func (c Config) complete() (Config, error) {
	if c.HTTPAddr == "" {
		c.HTTPAddr = "127.0.0.1:0"
	}
	if c.SMTPAddr == "" {
		c.SMTPAddr = "127.0.0.1:0"
	}
	if c.Clients == 0 {
		c.Clients = DefaultClients
	}
	if c.ClockFactor == 0 {
		c.ClockFactor = 1
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var wrong []error
	for name, addr := range map[string]string{"http-addr": c.HTTPAddr, "smtp-addr": c.SMTPAddr} {
		if err := checkAddr(addr, c.AllowRemote); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	if c.Clients < 1 || c.Clients > maxClients {
		wrong = append(wrong, fmt.Errorf("clients: must be 1 to %d", maxClients))
	}
	if c.ClockFactor < 1 || c.ClockFactor > maxFactor {
		wrong = append(wrong, fmt.Errorf("clock-factor: must be 1 to %d", maxFactor))
	}
	if c.Practice != "" {
		if _, err := os.Stat(c.Practice); err != nil {
			wrong = append(wrong, fmt.Errorf("practice: %w", err))
		}
	}
	for i, app := range c.Apps {
		if app.ClientID == "" || app.Name == "" {
			wrong = append(wrong, fmt.Errorf("apps: app %d needs a client id and a name", i+1))
		}
	}
	return c, errors.Join(wrong...)
}

const (
	// maxClients is far above any practice; beyond it the world would need gigabytes.
	maxClients = 200_000
	// maxFactor makes a minute pass in 6 ms; faster, the windows are shorter than a call.
	maxFactor = 10_000
)

func checkAddr(addr string, allowRemote bool) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	ip := net.ParseIP(host)
	if host == "localhost" || ip != nil && ip.IsLoopback() || allowRemote {
		return nil
	}
	return fmt.Errorf("%q is not a loopback address; the world can be changed by whoever reaches it (allow-remote permits this)", addr)
}
