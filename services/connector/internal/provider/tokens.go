package provider

import (
	"fmt"
	"log/slog"
	"time"
)

// Tokens is what an identity service hands out. It prints and logs as a word, never as what it holds.
type Tokens struct {
	Access  string
	Refresh string
	// Expires is when the access token dies.
	Expires time.Time
	// Scopes are what was granted.
	Scopes []string
	// Subject is who consented, as the provider names the person; AuthEvent names the consent. Either may be empty.
	Subject   string
	AuthEvent string
	// Person is a name to show for the subject, empty when the service gives none.
	Person string
}

// Format writes a word in the place of the tokens, whatever the verb.
func (Tokens) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[tokens]")) }

// LogValue logs a word in the place of the tokens.
func (Tokens) LogValue() slog.Value { return slog.StringValue("[tokens]") }
