package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/wneessen/go-mail"
)

// Security is how a connection to an SMTP server is protected.
type Security string

// The ways.
const (
	// StartTLS begins in the clear and insists on TLS before anything is said.
	StartTLS Security = "starttls"
	// ImplicitTLS speaks TLS from the first byte.
	ImplicitTLS Security = "tls"
	// Plain is for a server on the same machine.
	Plain Security = "plain"
)

// Mail sends e-mails by SMTP.
type Mail struct {
	options MailOptions
}

// MailOptions says which server sends.
type MailOptions struct {
	Host     string
	Port     int
	Security Security
	// Username and Password sign in; empty when the server asks for nobody.
	Username, Password string
	// From is the sender's address, "Name <address>" or the address alone.
	From string
	// Timeout bounds one e-mail.
	Timeout time.Duration
	// Roots replaces the system's authorities when set.
	Roots *tls.Config
}

// NewMail makes a sender.
func NewMail(o MailOptions) *Mail { return &Mail{options: o} }

// Letter is an e-mail in plain text to one address.
type Letter struct {
	To, Subject, Text string
	// FromName is shown as the sender in place of the installation's own name; ReplyTo is where answers go. Both may be
	// empty. The sender's address is always the installation's: no server would believe another.
	FromName, ReplyTo string
}

// Send hands an e-mail to the server. A nil error means that the server took it.
func (m *Mail) Send(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(ctx, m.options.Timeout)
	defer cancel()
	msg, err := m.message(l)
	if err != nil {
		return err
	}
	client, err := m.client(ctx)
	if err != nil {
		return &Error{Code: "settings"}
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return smtpError(ctx, err)
	}
	err = client.SendWithSMTPClient(conn, msg)
	// The server has answered for the e-mail; whether it also says goodbye does not matter.
	_ = client.CloseWithSMTPClient(conn)
	if err != nil {
		return smtpError(ctx, err)
	}
	return nil
}

// message puts the e-mail together. What would make a second header, or a second line of one, is refused.
func (m *Mail) message(l Letter) (*mail.Msg, error) {
	for _, line := range []string{l.To, l.Subject, l.FromName, l.ReplyTo} {
		if strings.ContainsFunc(line, unicode.IsControl) {
			return nil, &Error{Code: "header"}
		}
	}
	msg := mail.NewMsg()
	err := errors.Join(msg.From(m.options.From), msg.To(l.To))
	if sender, parsed := netmail.ParseAddress(m.options.From); parsed == nil && l.FromName != "" {
		err = errors.Join(err, msg.From((&netmail.Address{Name: l.FromName, Address: sender.Address}).String()))
	}
	if l.ReplyTo != "" {
		err = errors.Join(err, msg.ReplyTo(l.ReplyTo))
	}
	if err != nil {
		return nil, &Error{Code: "address"}
	}
	msg.Subject(l.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetBodyString(mail.TypeTextPlain, l.Text)
	return msg, nil
}

func (m *Mail) client(ctx context.Context) (*mail.Client, error) {
	o := m.options
	opts := []mail.Option{
		// The end of ctx is what cuts the conversation; the library's own bound on each command only stands behind it.
		mail.WithPort(o.Port), mail.WithTimeout(2 * o.Timeout), mail.WithHELO("localhost"), mail.WithDialContextFunc(m.dialer(ctx)),
		mail.WithTLSPolicy(mail.TLSMandatory),
	}
	if o.Security != StartTLS {
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS)) // there is TLS already, or there is to be none
	}
	if o.Roots != nil {
		opts = append(opts, mail.WithTLSConfig(o.Roots))
	}
	if o.Username != "" {
		auth := mail.SMTPAuthAutoDiscover
		opts = append(opts, mail.WithSMTPAuth(auth), mail.WithUsername(o.Username), mail.WithPassword(o.Password))
	}
	return mail.NewClient(o.Host, opts...)
}

// dialer connects so that the end of ctx cuts the conversation, at whatever command it hangs.
func (m *Mail) dialer(ctx context.Context) mail.DialContextFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		address := net.JoinHostPort(m.options.Host, strconv.Itoa(m.options.Port))
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if m.options.Security != ImplicitTLS {
			return conn, nil
		}
		cfg := &tls.Config{MinVersion: tls.VersionTLS12}
		if m.options.Roots != nil {
			cfg = m.options.Roots.Clone()
		}
		cfg.ServerName = m.options.Host
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

// smtpError keeps the reply code. 5xx is for good, everything else may pass.
func smtpError(ctx context.Context, err error) *Error {
	if e, ok := errors.AsType[*mail.SendError](err); ok && e.ErrorCode() != 0 {
		code := e.ErrorCode()
		return &Error{Code: "smtp_" + strconv.Itoa(code), Temporary: code < 500}
	}
	return unreached(ctx, err)
}
