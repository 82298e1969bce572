package texts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func load(t *testing.T, folder string) *Book {
	t.Helper()
	b, err := Load("https://app.example.com/", folder)
	require.NoError(t, err)
	return b
}

func TestN21_TextMessagesEndWithTheOriginBoundLine(t *testing.T) {
	text, err := load(t, "").PINText("Harbour Tax", "Mo", "123456", 10*time.Minute)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(text, "\n\n@app.example.com #123456"), text)
	require.LessOrEqual(t, len(text), 160, "one segment")
	for site, host := range map[string]string{
		"https://app.example.com:8443": "app.example.com", "http://127.0.0.1:8080": "127.0.0.1", "https://[::1]:8": "::1", "https://a.example/x": "a.example",
	} {
		b, err := Load(site, "")
		require.NoError(t, err)
		require.Equal(t, host, b.Host())
	}
}

func TestTexts(t *testing.T) {
	b := load(t, "")
	m, err := b.PINMail("Harbour Tax", "Mo", "123456", 10*time.Minute)
	require.NoError(t, err)
	require.NotContains(t, m.Subject, "123456", "subjects show on locked screens")
	require.Contains(t, m.Text, "123456")
	m, err = b.Invitation("Harbour Tax", "Mo", "civ_code", 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, "Your invitation to Harbour Tax", m.Subject)
	require.Contains(t, m.Text, "https://app.example.com/invitation#civ_code")
	m, err = b.PasswordReset("Harbour Tax", "Mo", "crs_code", time.Hour)
	require.NoError(t, err)
	require.Contains(t, m.Text, "https://app.example.com/reset#crs_code")
	require.Contains(t, m.Text, "1 hour.")
	at := time.Date(2026, 3, 1, 9, 5, 0, 0, time.UTC)
	m, err = b.AccountChanged("Harbour Tax", "Mo", "A passkey was added.", "192.0.2.7", at)
	require.NoError(t, err)
	require.Contains(t, m.Text, "A passkey was added.\n\n  1 March 2026, 09:05 UTC, from 192.0.2.7\n")
	m, err = b.EnrolmentAsked("Harbour Tax", "Ada", "Mo")
	require.NoError(t, err)
	require.Equal(t, "Mo asks for your approval", m.Subject)
}

// put writes the templates of an installation.
func put(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	return folder
}

func TestAnInstallationsOwnTemplates(t *testing.T) {
	b := load(t, put(t, map[string]string{
		"pin_sms.txt": "{{.Firm}}: {{.PIN}}\n\n@evil.example #{{.PIN}}\n", "pin_mail.txt": "Subject: PIN {{.PIN}}\r\n\r\nHere: {{.PIN}}", ".keep": "",
	}))
	text, err := b.PINText("Harbour Tax", "Mo", "123456", 10*time.Minute)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(text, "Harbour Tax: 123456"))
	require.True(t, strings.HasSuffix(text, "\n@app.example.com #123456"), "it is bound to this site whatever the template says")
	m, err := b.PINMail("Harbour Tax", "Mo", "123456", 10*time.Minute)
	require.NoError(t, err)
	require.NotContains(t, m.Subject, "123456")
	require.Equal(t, "Here: 123456\n", m.Text)
}

func TestTemplatesAreCheckedByFileAndLine(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"unknown field":      {"invitation.txt", "Subject: Hello\n\nline\n{{.Pin}}\n", "invitation.txt:4:"},
		"other kind's":       {"enforced.txt", "Subject: Hello\n\n{{.Code}}\n", "enforced.txt:3:"},
		"in a branch":        {"suspicious.txt", "Subject: Hello\n\n{{if .What}}x{{else}}{{.Nope}}{{end}}\n", "suspicious.txt:3:"},
		"not a template":     {"pin_mail.txt", "Subject: Hello\n\n{{.PIN\n", "pin_mail.txt:3"},
		"unknown function":   {"pin_mail.txt", "Subject: Hello\n\n{{exec .PIN}}\n", "pin_mail.txt:3"},
		"no subject":         {"pin_mail.txt", "Hello\n\n{{.PIN}}\n", "pin_mail.txt:1:"},
		"a second header":    {"pin_mail.txt", "Subject: Hello\nBcc: x@example.com\n\n{{.PIN}}\n", "pin_mail.txt:1:"},
		"nothing to say":     {"pin_mail.txt", "Subject: Hello\n\n", "pin_mail.txt:3:"},
		"too long a text":    {"pin_sms.txt", strings.Repeat("x", 500), "pin_sms.txt:1:"},
		"too large":          {"pin_sms.txt", strings.Repeat("x", 20<<10), "pin_sms.txt:1:"},
		"no such template":   {"pin_fax.txt", "x", "pin_fax.txt: there is no template of this name"},
		"no template at all": {"README.md", "x", "README.md: there is no template"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load("https://app.example.com", put(t, map[string]string{c.file: c.text}))
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := Load("https://app.example.com", filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorContains(t, err, "can't be read")
	_, err = Load("https://app.example.com", put(t, map[string]string{"invitation.txt": "x", "enforced.txt": "y"}))
	require.ErrorContains(t, err, "invitation.txt:1:")
	require.ErrorContains(t, err, "enforced.txt:1:", "all mistakes at once")
}

// No value can make a second header: values with line breaks are refused before they get here, and here as well.
func TestASubjectIsOneLine(t *testing.T) {
	_, err := load(t, "").Invitation("Harbour\r\nBcc: x@example.com", "Mo", "code", time.Hour)
	require.Error(t, err)
}
