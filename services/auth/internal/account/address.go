package account

import (
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unseen tells whether a character can't be seen, or turns or breaks the text around it: controls, breaks of lines, marks of
// direction, characters without width, private ones. In a name or an address it would pass one person off as another, or
// end up in the header of an e-mail.
func Unseen(r rune) bool { return unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) }

// ErrEmail says that a text is not an e-mail address.
var ErrEmail = errors.New("account: not an e-mail address")

// maxEmail is the longest address that mail can carry (RFC 5321, erratum 1690).
const maxEmail = 254

// NormalizeEmail returns the form in which addresses are stored and compared: lower case, without surrounding spaces.
// Names before the address and comments are refused.
func NormalizeEmail(text string) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxEmail || !utf8.ValidString(text) || strings.ContainsAny(text, "<>\"(),;:") ||
		strings.ContainsFunc(text, func(r rune) bool { return Unseen(r) || unicode.IsSpace(r) }) {
		return "", ErrEmail
	}
	parsed, err := mail.ParseAddress(text)
	if err != nil || parsed.Name != "" || parsed.Address != text {
		return "", ErrEmail
	}
	_, domain, ok := strings.Cut(text, "@")
	if !ok || strings.HasPrefix(domain, "[") || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") {
		return "", ErrEmail
	}
	return strings.ToLower(text), nil
}

// MaskEmail shows enough of an address to be recognised by its owner: "a***@example.com".
func MaskEmail(email string) string {
	local, domain, _ := strings.Cut(email, "@")
	_, size := utf8.DecodeRuneInString(local)
	return local[:size] + "***@" + domain
}

// MaskMobile shows the first three and the last two characters of a number in E.164 form: "+61*******21".
func MaskMobile(mobile string) string {
	const head, tail = 3, 2
	if len(mobile) <= head+tail {
		return strings.Repeat("*", len(mobile))
	}
	return mobile[:head] + strings.Repeat("*", len(mobile)-head-tail) + mobile[len(mobile)-tail:]
}
