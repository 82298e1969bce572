package delivery

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// mailServer speaks as much SMTP as a client of ours needs, with TLS when it has a certificate. Its answers to RCPT and
// its silence can be set.
type mailServer struct {
	listener net.Listener
	cert     *tls.Config
	rcpt     string // the answer to RCPT
	hangAt   string // the command after which it says nothing more
	mails    chan string
}

func newMailServer(t *testing.T, security Security, rcpt, hangAt string) (*mailServer, *tls.Config) {
	t.Helper()
	// httptest has a certificate for 127.0.0.1 and knows who vouches for it.
	https := httptest.NewTLSServer(nil)
	t.Cleanup(https.Close)
	roots := x509.NewCertPool()
	roots.AddCert(https.Certificate())
	m := &mailServer{rcpt: rcpt, hangAt: hangAt, mails: make(chan string, 1)}
	serving := &tls.Config{Certificates: https.TLS.Certificates}
	var err error
	m.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	switch security {
	case ImplicitTLS:
		m.listener = tls.NewListener(m.listener, serving)
	case StartTLS:
		m.cert = serving
	}
	t.Cleanup(func() { m.listener.Close() })
	go func() {
		for {
			conn, err := m.listener.Accept()
			if err != nil {
				return
			}
			go m.talk(conn)
		}
	}()
	return m, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

func (m *mailServer) talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 ready")
	secure := false
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.Fields(line + " x")[0])
		if verb == m.hangAt {
			_, _ = in.ReadString('\n') // until the client goes
			return
		}
		switch verb {
		case "EHLO":
			if m.cert != nil && !secure {
				say("250-here")
				say("250 STARTTLS")
			} else {
				say("250 here")
			}
		case "STARTTLS":
			say("220 go on")
			upgraded := tls.Server(conn, m.cert)
			conn, in, secure = upgraded, bufio.NewReader(upgraded), true
		case "RCPT":
			say(m.rcpt)
		case "DATA":
			say("354 go on")
			var mail strings.Builder
			for {
				text, err := in.ReadString('\n')
				if err != nil || text == ".\r\n" {
					break
				}
				mail.WriteString(text)
			}
			m.mails <- mail.String()
			say("250 taken")
		case "QUIT":
			return // without a goodbye: the mail is taken all the same
		default:
			say("250 fine")
		}
	}
}

func (m *mailServer) sender(security Security, roots *tls.Config) *Mail {
	port := m.listener.Addr().(*net.TCPAddr).Port
	return NewMail(MailOptions{
		Host: "127.0.0.1", Port: port, Security: security, From: "Concord <concord@host.example>", Timeout: 5 * time.Second, Roots: roots,
	})
}

func TestMailOverEveryKindOfConnection(t *testing.T) {
	for _, security := range []Security{Plain, StartTLS, ImplicitTLS} {
		m, roots := newMailServer(t, security, "250 fine", "")
		require.NoError(t, m.sender(security, roots).Send(t.Context(), Letter{To: "mo@harbour.example", Subject: "Grüße", Text: "PIN 123456\n"}), security)
		got := <-m.mails
		require.Contains(t, got, "To: <mo@harbour.example>")
		require.Contains(t, got, `From: "Concord" <concord@host.example>`)
		require.Contains(t, got, "PIN 123456")
	}
}

func TestMailInsistsOnTLS(t *testing.T) {
	m, roots := newMailServer(t, Plain, "250 fine", "") // offers no STARTTLS
	err := m.sender(StartTLS, roots).Send(t.Context(), Letter{To: "mo@harbour.example", Subject: "Hello", Text: "PIN 123456"})
	require.Error(t, err)
	require.Empty(t, m.mails, "nothing is said in the clear")
	m, _ = newMailServer(t, StartTLS, "250 fine", "")
	err = m.sender(StartTLS, nil).Send(t.Context(), Letter{To: "mo@harbour.example", Subject: "Hello", Text: "PIN 123456"})
	require.Error(t, err, "a certificate nobody vouches for")
	require.Empty(t, m.mails)
}

func TestMailRefusals(t *testing.T) {
	for answer, want := range map[string]Error{
		"550 no such mailbox mo@harbour.example": {Code: "smtp_550"},
		"451 try later":                          {Code: "smtp_451", Temporary: true},
	} {
		m, roots := newMailServer(t, Plain, answer, "")
		err := m.sender(Plain, roots).Send(t.Context(), Letter{To: "mo@harbour.example", Subject: "Hello", Text: "text"})
		require.Equal(t, want.Code, Code(err))
		require.Equal(t, want.Temporary, Temporary(err))
		require.NotContains(t, err.Error(), "harbour")
	}
	m, roots := newMailServer(t, Plain, "250 fine", "")
	require.Equal(t, "address", Code(m.sender(Plain, roots).Send(t.Context(), Letter{To: "not an address", Subject: "Hello", Text: "text"})))
}

func TestMailServerThatHangs(t *testing.T) {
	for _, at := range []string{"EHLO", "MAIL", "DATA"} {
		m, roots := newMailServer(t, Plain, "250 fine", at)
		sender := m.sender(Plain, roots)
		sender.options.Timeout = 100 * time.Millisecond
		err := sender.Send(t.Context(), Letter{To: "mo@harbour.example", Subject: "Hello", Text: "text"})
		require.Equal(t, "timeout", Code(err), at)
		require.True(t, Temporary(err))
	}
}

// sent hands one e-mail over and returns what the server got.
func sent(t *testing.T, l Letter) (string, error) {
	t.Helper()
	m, roots := newMailServer(t, Plain, "250 fine", "")
	if err := m.sender(Plain, roots).Send(t.Context(), l); err != nil {
		require.Empty(t, m.mails)
		return "", err
	}
	return <-m.mails, nil
}

func TestTheFirmsNameAndReplyTo(t *testing.T) {
	got, err := sent(t, Letter{
		To: "mo@harbour.example", Subject: "Hello", Text: "text", FromName: `Harbour "Tax" <evil@x.example>, Ltd`, ReplyTo: "office@harbour.example",
	})
	require.NoError(t, err)
	head, _, _ := strings.Cut(got, "\r\n\r\n")
	require.Regexp(t, `(?m)^From: .*<concord@host\.example>\r$`, head, "the address is the installation's own")
	require.Contains(t, head, "Reply-To: <office@harbour.example>")
	parsed, err := netmail.ReadMessage(strings.NewReader(got))
	require.NoError(t, err)
	from, err := parsed.Header.AddressList("From")
	require.NoError(t, err)
	require.Len(t, from, 1)
	require.Equal(t, netmail.Address{Name: `Harbour "Tax" <evil@x.example>, Ltd`, Address: "concord@host.example"}, *from[0])
}

func TestHeadersCannotBeInjected(t *testing.T) {
	for _, evil := range []string{"x\r\nBcc: all@example.com", "x\nBcc: all@example.com", "x\rBcc: all@example.com", "x\x00y"} {
		for _, l := range []Letter{
			{To: "mo@harbour.example", Subject: evil}, {To: "mo@harbour.example", Subject: "Hello", FromName: evil},
			{To: "mo@harbour.example", Subject: "Hello", ReplyTo: evil}, {To: evil, Subject: "Hello"},
		} {
			_, err := sent(t, l)
			require.Equal(t, "header", Code(err))
		}
	}
	for _, long := range []string{strings.Repeat("é", 300), "=?utf-8?q?x=0D=0ABcc:_all@example.com?="} {
		got, err := sent(t, Letter{To: "mo@harbour.example", Subject: long, FromName: long, Text: "text"})
		require.NoError(t, err)
		parsed, err := netmail.ReadMessage(strings.NewReader(got))
		require.NoError(t, err)
		require.Empty(t, parsed.Header.Get("Bcc"))
	}
}
