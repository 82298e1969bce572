package tlsscan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// judge says what is not as the security standards ask: TLS 1.2 at least, 256-bit encryption and SHA-256, a certificate that
// is good for a while, and browsers that insist on it.
func (s *scanner) judge() {
	find := func(text string, args ...any) { s.out.Findings = append(s.out.Findings, fmt.Sprintf(text, args...)) }
	for _, old := range []string{"TLS 1.0", "TLS 1.1"} {
		if slices.Contains(s.out.Versions, old) {
			find("%s is taken: nothing before TLS 1.2 should be", old)
		}
	}
	var weak []string
	for _, suite := range s.out.Suites {
		if !suite.Strong && (suite.Version == "TLS 1.2" || suite.Version == "TLS 1.3") {
			weak = append(weak, suite.Name)
		}
	}
	if len(weak) > 0 {
		find("suites below AES-256 or ChaCha20 with forward secrecy are taken: %s", strings.Join(weak, ", "))
	}
	c := s.out.Certificate
	switch now := s.now(); {
	case now.After(c.NotAfter):
		find("the certificate ended on %s", c.NotAfter.Format(time.DateOnly))
	case c.NotAfter.Sub(now) < soon:
		find("the certificate ends on %s, in %d days", c.NotAfter.Format(time.DateOnly), int(c.NotAfter.Sub(now).Hours()/24))
	}
	if !c.Trusted {
		find("the certificate is not trusted here: %s", c.Why)
	}
	if strings.Contains(c.Signature, "SHA1") || strings.Contains(c.Signature, "MD5") {
		find("the certificate is signed with %s", c.Signature)
	}
	if age, ok := maxAge(s.out.HSTS); !ok || age < hstsMin {
		find("Strict-Transport-Security is %q: browsers should insist on TLS for half a year at least", s.out.HSTS)
	}
}

// maxAge reads max-age of a Strict-Transport-Security header (RFC 6797).
func maxAge(header string) (time.Duration, bool) {
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "max-age") {
			continue
		}
		seconds, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(value), `"`), 10, 64)
		if err != nil || seconds < 0 {
			return 0, false
		}
		return time.Duration(min(seconds, int64(100*365*24*time.Hour/time.Second))) * time.Second, true
	}
	return 0, false
}
