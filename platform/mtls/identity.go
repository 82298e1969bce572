package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// scheme begins every identity. The form is SPIFFE's, so that issuers who know it (cert-manager, SPIRE, meshes) can write
// it; nothing else of SPIFFE is needed.
const scheme = "spiffe://"

// Identity is the URI by which a certificate says whose it is: spiffe://<trust domain>/<part>.
func Identity(domain, part string) string { return scheme + domain + "/" + part }

// ParseIdentity reads an identity. It is strict, because two ways to write one name are two chances to be taken for
// somebody else: no port, query, escape or second segment, lower case only.
func ParseIdentity(uri string) (domain, part string, err error) {
	rest, found := strings.CutPrefix(uri, scheme)
	if found {
		domain, part, found = strings.Cut(rest, "/")
	}
	if !found || !ValidDomain(domain) || !ValidPart(part) {
		return "", "", fmt.Errorf("mtls: %.300q is not of the form spiffe://<trust domain>/<part>", uri)
	}
	return domain, part, nil
}

// ValidDomain tells whether a name can be a trust domain: 1 to 255 of a-z, 0-9, dot, dash and underscore, as SPIFFE says.
func ValidDomain(name string) bool {
	return len(name) >= 1 && len(name) <= 255 && only(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_")
}

// ValidPart tells whether a name can be that of a part: 1 to 63 of a-z, 0-9 and dash, so that it can be a name in DNS too.
func ValidPart(name string) bool {
	return len(name) >= 1 && len(name) <= 63 && only(name, "abcdefghijklmnopqrstuvwxyz0123456789-") &&
		!strings.HasPrefix(name, "-") && !strings.HasSuffix(name, "-")
}

func only(s, letters string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(letters, r) })
}

var errManyNames = errors.New("its certificate has more than one URI and so more than one name")

// partOf returns the part whose certificate this is.
func partOf(cert *x509.Certificate, domain string) (string, error) {
	switch len(cert.URIs) {
	case 0:
		return "", fmt.Errorf("its certificate has no URI %s", Identity(domain, "<part>"))
	case 1:
	default:
		return "", errManyNames
	}
	in, part, err := ParseIdentity(cert.URIs[0].String())
	if err != nil {
		return "", err
	}
	if in != domain {
		return "", fmt.Errorf("%s is of another trust domain than %q", Identity(in, part), domain)
	}
	return part, nil
}
