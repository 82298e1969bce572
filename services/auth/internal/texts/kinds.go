package texts

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// About is what every template may use.
type About struct {
	// Firm is the name of the firm; empty for the operator.
	Firm string
	// Person is the name of whoever is written to.
	Person string
	// Site is the address of the suite without a slash at the end, Host its host.
	Site, Host string
}

// The names of the templates that are text messages.
const (
	pinText    = "pin_sms"
	mobileText = "mobile_changed_sms"
)

type pinData struct {
	About
	// PIN has six digits; Minutes is how long it works.
	PIN     string
	Minutes int
}

type codeData struct {
	About
	// Code is what is entered, Link leads to where, Hours is how long it works.
	Code, Link string
	Hours      int
}

type noticeData struct {
	About
	// What says what happened, a sentence; When and where from, as far as known.
	What, When, Address string
}

type otherData struct {
	About
	// Other is the name of the other person it is about.
	Other string
}

// about is what the samples share.
var about = About{Firm: "Firm", Person: "Person", Site: "https://host.example", Host: "host.example"}

// samples is data to try each template with: everything filled in, and nothing.
var samples = map[string][]any{
	pinText:              {pinData{about, "000000", 10}, pinData{}},
	mobileText:           {otherData{about, ""}, otherData{}},
	"pin_mail":           {pinData{about, "000000", 10}, pinData{}},
	"invitation":         {codeData{about, "code", "https://host.example", 24}, codeData{}},
	"password_reset":     {codeData{about, "code", "https://host.example", 1}, codeData{}},
	"staff_reset":        {codeData{about, "code", "https://host.example", 24}, codeData{}},
	"account_changed":    {noticeData{about, "Something happened.", "now", "here"}, noticeData{}},
	"suspicious":         {noticeData{about, "Something happened.", "now", "here"}, noticeData{}},
	"enforced":           {otherData{about, ""}, otherData{}},
	"enrolment_asked":    {otherData{about, "Other"}, otherData{}},
	"enrolment_approved": {otherData{about, "Other"}, otherData{}},
}

// Names are those of the templates, in the order of the alphabet.
func Names() []string { return slices.Sorted(maps.Keys(samples)) }

// Host is the name of the site, which text messages with a PIN are bound to.
func (b *Book) Host() string { return b.host }

func (b *Book) about(firm, person string) About {
	return About{Firm: firm, Person: person, Site: b.site, Host: b.host}
}

// PINText is the text message that carries a PIN. Its last line binds the PIN to the site, so that a phone offers it there
// and nowhere else (WICG, origin-bound one-time codes).
func (b *Book) PINText(firm, person, pin string, life time.Duration) (string, error) {
	text, err := b.text(pinText, pinData{b.about(firm, person), pin, int(life / time.Minute)})
	if err != nil {
		return "", err
	}
	// Only the last line that begins with @ counts, so a template can't bind the PIN elsewhere.
	return text + "\n\n@" + b.host + " #" + pin, nil
}

// MobileText is the text message to a mobile that is no longer the one of an account.
func (b *Book) MobileText(firm, person string) (string, error) {
	return b.text(mobileText, otherData{b.about(firm, person), ""})
}

// PINMail is the e-mail that carries a PIN. Subjects show on locked screens: one that holds the PIN is replaced.
func (b *Book) PINMail(firm, person, pin string, life time.Duration) (Mail, error) {
	m, err := b.mail("pin_mail", pinData{b.about(firm, person), pin, int(life / time.Minute)})
	if strings.Contains(m.Subject, pin) {
		m.Subject = "Your sign-in PIN"
	}
	return m, err
}

// Invitation is the e-mail that invites somebody to choose a password.
func (b *Book) Invitation(firm, person, code string, life time.Duration) (Mail, error) {
	return b.mail("invitation", b.code(firm, person, "/invitation#", code, life))
}

// PasswordReset is the e-mail to somebody who forgot the password.
func (b *Book) PasswordReset(firm, person, code string, life time.Duration) (Mail, error) {
	return b.mail("password_reset", b.code(firm, person, "/reset#", code, life))
}

// StaffReset is the e-mail to somebody whose password an administrator voided.
func (b *Book) StaffReset(firm, person, code string, life time.Duration) (Mail, error) {
	return b.mail("staff_reset", b.code(firm, person, "/reset#", code, life))
}

func (b *Book) code(firm, person, path, code string, life time.Duration) codeData {
	return codeData{b.about(firm, person), code, b.site + path + code, int(life / time.Hour)}
}

// AccountChanged is the notice that a password, an address or a factor was changed. What is a sentence.
func (b *Book) AccountChanged(firm, person, what, address string, at time.Time) (Mail, error) {
	return b.mail("account_changed", noticeData{b.about(firm, person), what, stamp(at), address})
}

// Suspicious is the notice that somebody else may be trying to sign in. What is a sentence.
func (b *Book) Suspicious(firm, person, what, address string, at time.Time) (Mail, error) {
	return b.mail("suspicious", noticeData{b.about(firm, person), what, stamp(at), address})
}

// Enforced is the notice that the firm asks for a second factor from now on.
func (b *Book) Enforced(firm, person string) (Mail, error) {
	return b.mail("enforced", otherData{b.about(firm, person), ""})
}

// EnrolmentAsked is the e-mail to an administrator: somebody asks to be allowed another factor.
func (b *Book) EnrolmentAsked(firm, person, who string) (Mail, error) {
	return b.mail("enrolment_asked", otherData{b.about(firm, person), who})
}

// EnrolmentApproved is the e-mail to somebody whom an administrator allowed another factor.
func (b *Book) EnrolmentApproved(firm, person, by string) (Mail, error) {
	return b.mail("enrolment_approved", otherData{b.about(firm, person), by})
}

// stamp is a time as people of any country read it.
func stamp(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04 UTC") }
