package delivery

import (
	"fmt"
	"strings"
)

// PINText is the text message that carries a PIN. Its last line binds the PIN to the site, so that a phone offers it
// there and nowhere else (WICG, origin-bound one-time codes).
func PINText(host, pin string) string {
	return fmt.Sprintf("%s is your Concord PIN for %s. It works once, for 10 minutes. Nobody of ours will ask you for it.\n\n@%s #%s",
		pin, host, host, pin)
}

// PINMail is the subject and text of the e-mail that carries a PIN. The subject shows on locked screens and holds none.
func PINMail(host, pin string) (subject, text string) {
	return "Your sign-in PIN", strings.Join([]string{
		pin + " is your Concord PIN for " + host + ".",
		"",
		"It works once, for 10 minutes. Nobody of ours will ask you for it.",
		"If you did not just sign in, somebody knows your password: change it.",
		"",
	}, "\n")
}
