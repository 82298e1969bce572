package sinks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"strings"
	"sync"
	"time"

	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

// Limits of the SMTP server.
const (
	maxMail  = 25 << 20        // what large mail services take
	idleMail = 5 * time.Minute // RFC 5321 4.5.3.2: what a server waits for the next command
)

// Mailbox is the SMTP server: plain, AUTH optional and always right, every recipient known.
type Mailbox struct {
	inbox    *Inbox
	faults   *faults.Injector
	listener net.Listener
	work     sync.WaitGroup
	ctx      context.Context

	mu    sync.Mutex
	conns map[net.Conn]bool // nil once closed
}

// ServeMail takes mail on listener until Close. The end of ctx lets frozen commands go.
func ServeMail(ctx context.Context, listener net.Listener, inbox *Inbox, injector *faults.Injector) *Mailbox {
	m := &Mailbox{ctx: ctx, inbox: inbox, faults: injector, listener: listener, conns: map[net.Conn]bool{}}
	m.work.Go(m.accept)
	return m
}

// Close ends all conversations and waits for them.
func (m *Mailbox) Close() error {
	err := m.listener.Close()
	m.mu.Lock()
	for conn := range m.conns {
		conn.Close()
	}
	m.conns = nil
	m.mu.Unlock()
	m.work.Wait()
	return err
}

func (m *Mailbox) accept() {
	for {
		conn, err := m.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // out of descriptors or the like: the caller tries again
		}
		m.mu.Lock()
		open := m.conns != nil
		if open {
			m.conns[conn] = true
			m.work.Go(func() { m.converse(conn) })
		}
		m.mu.Unlock()
		if !open {
			conn.Close()
			return
		}
	}
}

// dialogue is one SMTP conversation.
type dialogue struct {
	*textproto.Conn
	box  *Mailbox
	from string
	to   []string
	open bool // MAIL was given
}

func (m *Mailbox) converse(conn net.Conn) {
	defer func() {
		conn.Close()
		m.mu.Lock()
		delete(m.conns, conn)
		m.mu.Unlock()
	}()
	d := &dialogue{Conn: textproto.NewConn(conn), box: m}
	idle := time.AfterFunc(idleMail, func() { conn.Close() })
	defer idle.Stop()
	if d.say("220 simulated.example ESMTP") != nil {
		return
	}
	for {
		idle.Reset(idleMail)
		line, err := d.ReadLine()
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if done, err := d.trip(verb); done || err != nil {
			return
		}
		if d.command(verb, rest) != nil || verb == "QUIT" {
			return
		}
	}
}

func (d *dialogue) say(format string, args ...any) error { return d.PrintfLine(format, args...) }

// trip applies a fault whose path is "smtp/<verb>"; done means the conversation is over.
func (d *dialogue) trip(verb string) (done bool, err error) {
	f, err := d.box.faults.Next(verb, "smtp/"+strings.ToLower(verb), "", "")
	if f == nil {
		return false, err
	}
	switch f.Kind {
	case faults.Status:
		return true, d.say("%d simulated failure", f.Status)
	case faults.Slow, faults.Frozen:
		return !d.box.faults.Hold(d.box.ctx, f), nil
	default:
		return true, nil
	}
}

func (d *dialogue) command(verb, rest string) error {
	switch verb {
	case "EHLO":
		return d.say("250-simulated.example greets you\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE %d", maxMail)
	case "HELO":
		return d.say("250 simulated.example")
	case "AUTH":
		return d.auth(rest)
	case "MAIL":
		d.from, d.to, d.open = address(rest), nil, true
		return d.say("250 OK")
	case "RCPT":
		return d.recipient(address(rest))
	case "DATA":
		return d.data()
	case "RSET":
		d.to, d.open = nil, false
		return d.say("250 OK")
	case "NOOP", "VRFY":
		return d.say("250 OK")
	case "QUIT":
		return d.say("221 bye")
	default:
		return d.say("502 command not implemented")
	}
}

// auth lets everybody in, after asking for whatever the mechanism wants to say.
func (d *dialogue) auth(rest string) error {
	words := strings.Fields(rest)
	var questions []string
	switch {
	case len(words) == 0:
		return d.say("501 AUTH needs a mechanism")
	case strings.EqualFold(words[0], "LOGIN") && len(words) == 1:
		questions = []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"} // "Username:", "Password:"
	case strings.EqualFold(words[0], "LOGIN"):
		questions = []string{"UGFzc3dvcmQ6"}
	case strings.EqualFold(words[0], "PLAIN") && len(words) == 1:
		questions = []string{""}
	case strings.EqualFold(words[0], "PLAIN"):
	default:
		return d.say("504 mechanism not supported")
	}
	for _, q := range questions {
		if err := d.say("334 %s", q); err != nil {
			return err
		}
		if _, err := d.ReadLine(); err != nil {
			return err
		}
	}
	return d.say("235 welcome")
}

// address takes the address out of "FROM:<a@b> SIZE=1" or "TO:<a@b>".
func address(rest string) string {
	_, rest, _ = strings.Cut(rest, ":")
	rest = strings.TrimSpace(rest)
	if end := strings.IndexByte(rest, '>'); strings.HasPrefix(rest, "<") && end > 0 {
		return rest[1:end]
	}
	rest, _, _ = strings.Cut(rest, " ")
	return rest
}

func (d *dialogue) recipient(to string) error {
	switch {
	case !d.open:
		return d.say("503 MAIL first")
	case to == "":
		return d.say("501 no address")
	}
	rule, err := d.box.inbox.rule(Mail, to)
	if err != nil {
		return d.say("451 %v", err)
	}
	if rule != nil {
		return d.say("%d mailbox unavailable", orElse(rule.Code, 550))
	}
	d.to = append(d.to, to)
	return d.say("250 OK")
}

func (d *dialogue) data() error {
	if len(d.to) == 0 {
		return d.say("503 RCPT first")
	}
	if err := d.say("354 go ahead"); err != nil {
		return err
	}
	body := d.DotReader()
	raw, err := io.ReadAll(io.LimitReader(body, maxMail+1))
	if err != nil {
		return err
	}
	if len(raw) > maxMail {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		return d.say("552 message too large")
	}
	for _, to := range d.to {
		m := parse(raw)
		m.Channel, m.From, m.To, m.Status = Mail, d.from, to, delivered
		if err := d.box.inbox.add(m); err != nil {
			return d.say("451 %v", err)
		}
	}
	d.to, d.open = nil, false
	return d.say("250 taken")
}

// parse reads a mail for the inbox. What cannot be read is shown as it came.
func parse(raw []byte) *world.Message {
	m := &world.Message{Raw: string(raw), Text: string(raw)}
	head, err := textproto.NewReader(bufio.NewReader(strings.NewReader(m.Raw))).ReadMIMEHeader()
	if err != nil {
		return m
	}
	m.Subject = decodeHeader(head.Get("Subject"))
	_, body, ok := strings.Cut(m.Raw, "\n\n")
	if !ok {
		_, body, _ = strings.Cut(m.Raw, "\r\n\r\n")
	}
	text, html, err := bodies(head, strings.NewReader(body), 0)
	if err != nil {
		m.Text = fmt.Sprintf("(unreadable: %v)\n%s", err, body)
		return m
	}
	m.Text, m.HTML = strings.TrimSpace(text), html
	return m
}
