package postal

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

// Server is the SMTP server that takes e-mails.
type Server struct {
	Host string
	Port int
	// Security is "starttls" (TLS before anything is said), "tls" (from the first byte) or "plain".
	Security string
	// Username and Password sign in; empty when the server asks for nobody.
	Username, Password string
	// From is the sender: an address, with or without a name.
	From string
	// Timeout bounds one e-mail.
	Timeout time.Duration
	// TLS replaces the system's settings when set.
	TLS *tls.Config
}

// Letter is an e-mail to one person.
type Letter struct {
	// ID makes the Message-ID, so that an e-mail that goes out twice is known as one by programs that look.
	ID string
	// To is the address, Subject and Text what is written.
	To, Subject, Text string
}

// Refusal is an e-mail that the server will not take, however often it is asked.
type Refusal struct {
	// Problem says why, in words without addresses.
	Problem string
}

// Error is the problem.
func (r *Refusal) Error() string { return r.Problem }

// Send hands an e-mail to the server. A nil error means that the server took it; a *Refusal is for good.
func (s Server) Send(ctx context.Context, l Letter) error {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	msg := mail.NewMsg()
	if err := msg.From(s.From); err != nil {
		return errors.New("the sender's address is not one")
	}
	if err := msg.To(l.To); err != nil {
		return &Refusal{"the contact's e-mail address is not one"}
	}
	msg.Subject(l.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(l.ID + "@documents.concord")
	// Told apart from what a person wrote, so that out-of-office answers do not come back.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(mail.TypeTextPlain, l.Text)
	client, err := s.client(ctx)
	if err != nil {
		return errors.New("the mail server's settings do not fit together")
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return said(err)
	}
	err = client.SendWithSMTPClient(conn, msg)
	_ = client.CloseWithSMTPClient(conn) // it has answered for the e-mail; its goodbye does not matter
	if err != nil {
		return said(err)
	}
	return nil
}

func (s Server) client(ctx context.Context) (*mail.Client, error) {
	opts := []mail.Option{
		mail.WithPort(s.Port), mail.WithTimeout(s.Timeout), mail.WithHELO("localhost"),
		mail.WithTLSPolicy(mail.TLSMandatory), mail.WithDialContextFunc(s.dialer(ctx)),
	}
	if s.Security != "starttls" {
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS)) // there is TLS already, or there is to be none
	}
	if s.TLS != nil {
		opts = append(opts, mail.WithTLSConfig(s.TLS))
	}
	if s.Username != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.Username), mail.WithPassword(s.Password))
	}
	return mail.NewClient(s.Host, opts...)
}

// dialer connects in such a way that the end of ctx cuts the conversation wherever it hangs.
func (s Server) dialer(ctx context.Context) mail.DialContextFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port)))
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { conn.Close() })
		if s.Security != "tls" {
			return conn, nil
		}
		cfg := &tls.Config{MinVersion: tls.VersionTLS12}
		if s.TLS != nil {
			cfg = s.TLS.Clone()
		}
		cfg.ServerName = s.Host
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		return secure, nil
	}
}

// said keeps the reply code of what a server answered; its words may quote addresses. 5xx is for good.
func said(err error) error {
	var e *mail.SendError
	if !errors.As(err, &e) || e.ErrorCode() == 0 {
		return errors.New("the mail server could not be reached")
	}
	problem := fmt.Sprintf("the mail server refused the e-mail (%d)", e.ErrorCode())
	if e.ErrorCode() >= 500 {
		return &Refusal{problem}
	}
	return errors.New(problem)
}
