// Package names reads and writes resource names such as "firms/{firm}/clients/{client}".
//
// A name is made of literal segments and ids; a pattern has an id in braces. Ids are what the suite makes itself
// (lowercase UUIDs) or short words (a provider, a key id): letters, digits and . _ ~ -, at most 128 of them, so that an
// id is safe in a URL, a log line, a file name and either database. The package knows no resource by itself and never
// looks anything up.
package names

import (
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/concord-suite/concord/platform/rpcerr"
)

// maxID bounds one id. A UUID has 36 characters; 128 leaves room for words and keeps index keys small.
const maxID = 128

// FirmPattern is the pattern of a firm's own name; every firm-scoped name starts with it.
const FirmPattern = "firms/{firm}"

// Error says that a string is not a resource name of the pattern.
type Error struct {
	// Pattern is what was expected.
	Pattern string
}

// Error names the pattern and leaves the value out, since it may be anything.
func (e *Error) Error() string { return fmt.Sprintf("must be a resource name like %q", e.Pattern) }

// Parse returns the ids of a name in the order of the pattern, or *Error.
//
//	ids, err := names.Parse("firms/{firm}/clients/{client}", req.GetName())
func Parse(pattern, name string) ([]string, error) {
	var ids []string
	restP, restN, moreP, moreN := pattern, name, true, true
	for moreP && moreN {
		var p, n string
		p, restP, moreP = strings.Cut(restP, "/")
		n, restN, moreN = strings.Cut(restN, "/")
		if !strings.HasPrefix(p, "{") {
			if p != n {
				return nil, &Error{Pattern: pattern}
			}
			continue
		}
		if !ValidID(n) {
			return nil, &Error{Pattern: pattern}
		}
		ids = append(ids, n)
	}
	if moreP || moreN {
		return nil, &Error{Pattern: pattern}
	}
	return ids, nil
}

// ParseField is Parse for a field of a request: the error is an INVALID_ARGUMENT with a violation of that field.
func ParseField(field, pattern, name string) ([]string, error) {
	ids, err := Parse(pattern, name)
	if err != nil {
		return nil, rpcerr.Default(codes.InvalidArgument).Field(field, "resource_name", err.Error())
	}
	return ids, nil
}

// Format puts ids into a pattern. The number of ids must be that of the pattern: a difference is a mistake in the
// program, shows as an empty id, and no Parse accepts the result.
func Format(pattern string, ids ...string) string {
	var b strings.Builder
	for i, seg := range strings.Split(pattern, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		if !strings.HasPrefix(seg, "{") {
			b.WriteString(seg)
			continue
		}
		if len(ids) > 0 {
			b.WriteString(ids[0])
			ids = ids[1:]
		}
	}
	return b.String()
}

// Firm returns the id of the firm a name belongs to: the second segment of "firms/{firm}" or "firms/{firm}/...".
func Firm(name string) (string, error) {
	rest, ok := strings.CutPrefix(name, "firms/")
	if !ok {
		return "", &Error{Pattern: FirmPattern}
	}
	firm, tail, more := strings.Cut(rest, "/")
	if !ValidID(firm) || firm == "-" {
		return "", &Error{Pattern: FirmPattern}
	}
	for more {
		var seg string
		if seg, tail, more = strings.Cut(tail, "/"); !ValidID(seg) {
			return "", &Error{Pattern: FirmPattern}
		}
	}
	return firm, nil
}

// ValidID reports whether s may stand as an id in a name. "-" alone is one: AIP-159 reads it as "any" in a parent.
func ValidID(s string) bool {
	if s == "" || len(s) > maxID || s == "." || s == ".." {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}
