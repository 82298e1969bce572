package telemetry

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Redacted stands in logs where a secret would stand.
const Redacted = "[redacted]"

// secretWords are the words that make a key name a secret, wherever they stand in it ("refresh_token", "X-Csrf-Token",
// "newPassword").
var secretWords = map[string]bool{
	"authorization": true, "bearer": true, "cookie": true, "credential": true, "credentials": true, "otp": true,
	"passphrase": true, "passwd": true, "password": true, "pin": true, "secret": true, "token": true, "tokens": true,
	"verifier": true,
}

// isSecretKey says whether a key names a secret. A key that ends in "id" names the thing, not its value ("token_id").
func isSecretKey(key string) bool {
	words := splitWords(key)
	if len(words) == 0 || words[len(words)-1] == "id" {
		return false
	}
	for _, word := range words {
		if secretWords[word] {
			return true
		}
	}
	return false
}

// splitWords takes a key apart at punctuation and at capitals, in lower case.
func splitWords(key string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, strings.ToLower(string(word)))
			word = nil
		}
	}
	var previous rune
	for _, r := range key {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
		case unicode.IsUpper(r) && unicode.IsLower(previous):
			flush()
			word = append(word, r)
		default:
			word = append(word, r)
		}
		previous = r
	}
	flush()
	return words
}

// redactAttr is called by slog for every attribute but groups.
func redactAttr(groups []string, a slog.Attr) slog.Attr {
	if isSecretKey(a.Key) {
		return slog.String(a.Key, Redacted)
	}
	for _, group := range groups {
		if isSecretKey(group) {
			return slog.String(a.Key, Redacted)
		}
	}
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(Text(a.Value.String()))
	case slog.KindAny:
		if clean, changed := redactAny(a.Value.Any()); changed {
			a.Value = slog.AnyValue(clean)
		}
	default: // numbers, times and levels hold no secrets
	}
	return a
}

// redactAny returns what is logged in place of a value of any type.
func redactAny(value any) (clean any, changed bool) {
	switch v := value.(type) {
	case nil, *slog.Source:
		return value, false
	case proto.Message:
		data, err := protojson.Marshal(Message(v))
		if err != nil {
			return fmt.Sprintf("%T", value), true
		}
		return json.RawMessage(data), true
	case error:
		return Text(v.Error()), true
	case fmt.Stringer:
		return Text(v.String()), true
	}
	// Structs, maps and lists: through JSON, so that keys are seen at every depth.
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%T", value), true
	}
	var generic any
	if err := json.Unmarshal(data, &generic); err != nil {
		return fmt.Sprintf("%T", value), true
	}
	return redactJSON(generic), true
}

// redactJSON replaces secrets in a decoded JSON value.
func redactJSON(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if isSecretKey(key) {
				v[key] = Redacted
			} else {
				v[key] = redactJSON(below)
			}
		}
	case []any:
		for i := range v {
			v[i] = redactJSON(v[i])
		}
	case string:
		return Text(v)
	}
	return value
}

var (
	// credential finds tokens in running text by their shape: what follows "Bearer" or "Basic", and JSON web tokens. No
	// shorter than 16, so that prose ("basic authentication") stays.
	credential = regexp.MustCompile(`(?i:\b((?:bearer|basic)\s+))[A-Za-z0-9._~+/=-]{16,}|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?`)
	// secretParameter finds secrets in the query of a URL and in form bodies; OAuth's one-time code is one there.
	secretParameter = regexp.MustCompile(`(?i)([?&](?:[a-z_]*token|code|password|pin|state|client_secret|code_verifier)=)[^&\s"]+`)
	// userinfo finds the password of a URL.
	userinfo = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)
)

// Text cuts out of a text what looks like a credential: bearer and web tokens, secrets in queries, passwords in URLs.
func Text(text string) string {
	if strings.Contains(text, "eyJ") || strings.ContainsAny(text, " \t") {
		text = credential.ReplaceAllString(text, "${1}"+Redacted)
	}
	if strings.Contains(text, "=") {
		text = secretParameter.ReplaceAllString(text, "${1}"+Redacted)
	}
	if strings.Contains(text, "://") {
		text = userinfo.ReplaceAllString(text, "${1}"+Redacted+"@")
	}
	return text
}
