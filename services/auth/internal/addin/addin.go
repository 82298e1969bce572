// Package addin says which desktop programs may ask for a person's consent, where they are answered, what they may ask for,
// and what becomes of a refresh token that comes a second time.
//
// Add-Ins are public clients (RFC 6749 §2.1): they keep no secret. What stands in for one is the loopback address that only
// the machine itself can listen on (RFC 8252 §7.3) and the verifier of PKCE (RFC 7636).
package addin

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// DefaultPath is where an Add-In listens on its loopback address when its registration does not say.
const DefaultPath = "/done"

// Client is a registered Add-In.
type Client struct {
	// ID is its client id: small letters, digits, hyphens.
	ID string
	// Name is shown before somebody consents.
	Name string
	// Path is the one path of its redirect address.
	Path string
}

// Registry is the registered Add-Ins by client id.
type Registry map[string]Client

var (
	idPattern   = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	pathPattern = regexp.MustCompile(`^/[A-Za-z0-9/_.-]{0,200}$`)
)

// Register reads registrations of the form "id=Name" or "id=Name=/path".
func Register(lines []string) (Registry, error) {
	r := Registry{}
	for _, line := range lines {
		id, rest, ok := strings.Cut(line, "=")
		name, path, _ := strings.Cut(rest, "=")
		c := Client{ID: strings.TrimSpace(id), Name: strings.TrimSpace(name), Path: strings.TrimSpace(path)}
		if c.Path == "" {
			c.Path = DefaultPath
		}
		if !ok || c.Name == "" || len(c.Name) > 100 || !idPattern.MatchString(c.ID) || !pathPattern.MatchString(c.Path) {
			return nil, fmt.Errorf("%q is not of the form word=Concord for Word, with or without =/path at its end", line)
		}
		if _, twice := r[c.ID]; twice {
			return nil, fmt.Errorf("%s is registered twice", c.ID)
		}
		r[c.ID] = c
	}
	return r, nil
}

// Accepts tells whether an address is one the Add-In may be answered at: its own path on 127.0.0.1 or [::1], at whatever
// port the machine had free. Names are refused, "localhost" among them: who answers for a name is not ours to know
// (RFC 8252 §8.3).
func (c Client) Accepts(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil || u.User != nil {
		return false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return false
	}
	// Spelled out again and compared: what a parser is lenient about is not what was registered.
	for _, host := range []string{"127.0.0.1", "[::1]"} {
		if redirect == "http://"+host+":"+strconv.FormatUint(port, 10)+c.Path {
			return true
		}
	}
	return false
}
