package problem

import (
	"context"
	"strings"
)

type bodyKey struct{}

// WithBody remembers that the body of a request is one field of its message: the caller knows that field's own fields,
// not the message around it.
func WithBody(ctx context.Context, field string) context.Context {
	return context.WithValue(ctx, bodyKey{}, field)
}

// JSONName spells a field path as JSON does: "client.display_name" is "client.displayName". What stands in quotation
// marks, the key of a map, is the caller's own and stays.
func JSONName(path string) string {
	if !strings.Contains(path, "_") {
		return path
	}
	var b strings.Builder
	quoted, up := false, false
	for _, r := range path {
		switch {
		case r == '"':
			quoted = !quoted
		case r == '_' && !quoted:
			up = true
			continue
		case up && r >= 'a' && r <= 'z':
			r -= 'a' - 'A'
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}
