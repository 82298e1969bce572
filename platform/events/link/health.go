package link

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/concord-suite/concord/platform/events/topology"
)

// State is how the bus is for a program.
type State int

const (
	// Never means that the bus was not reached since the start.
	Never State = iota
	// Wrong means that it answers, and lacks or refuses what the program needs.
	Wrong
	// Lost means that it was right and does not answer any more. The outbox is the buffer.
	Lost
	// Connected means that it answers and has what is needed.
	Connected
)

// Health is the state of the bus at a moment.
type Health struct {
	State State
	// Since is when the state began.
	Since time.Time
	// Ready is set once the bus was reached and right, and stays: a program serves on without it.
	Ready bool
	// Why says in one line what is wrong and what to do about it; without addresses and secrets. Empty when all is well.
	Why string

	now time.Time
}

// String is the health in one line: "connected", "unreachable for 12s, serving without it".
func (h Health) String() string {
	lasts := h.now.Sub(h.Since).Truncate(time.Second).String()
	switch {
	case h.State == Connected && h.Why == "":
		return "connected"
	case h.State == Connected:
		return "connected, but " + h.Why
	case h.State == Lost:
		return with("unreachable for "+lasts+", serving without it", h.Why)
	case h.State == Wrong && h.Ready:
		return with("not as it should be for "+lasts+", serving without it", h.Why)
	case h.State == Wrong:
		return h.Why
	default:
		return with("never reached since the start", h.Why)
	}
}

func with(text, why string) string {
	if why == "" {
		return text
	}
	return text + ": " + why
}

// Health says how the bus is. It asks nobody and waits for nothing: the monitor asks all the time, so that the answer is
// at most silentAfter old.
func (m *Monitor) Health() Health {
	m.mu.Lock()
	h := Health{State: m.state, Since: m.since, Ready: m.settled, now: m.opt.Now()}
	fault, refused, trouble, streams := m.fault, m.refused, m.trouble, m.streams
	m.mu.Unlock()
	switch h.State {
	case Never, Lost:
		if h.Why = m.explain(fault); h.Why == "" {
			h.Why = map[State]string{Never: nobody, Lost: silence}[h.State]
		}
	default:
		var why []string
		if refused != "" {
			why = append(why, refused)
		}
		if trouble != nil {
			why = append(why, wordsOf(trouble))
		}
		for _, d := range streams {
			why = append(why, d.Text)
		}
		h.Why = strings.Join(why, "; ")
	}
	return h
}

// sayEvery is how often the same trouble is told while it lasts.
const sayEvery = 30 * time.Second

// tell writes a line about what went wrong after it was right, once and then every sayEvery, and one when it is right again.
// Why a program is not ready yet is told by who asks for that.
func (m *Monitor) tell() {
	h := m.Health()
	if h.State == Connected && h.Why == "" {
		if _, troubled := m.said.Load(troubledKey); troubled {
			m.said.Clear()
			m.opt.Log.Info("the bus is as it should be")
		}
		return
	}
	if !h.Ready || h.State != Connected && h.now.Sub(h.Since) < probeWait {
		return // a moment of it is no news
	}
	text := [...]string{Wrong: "the bus is not as it should be", Lost: "the bus is unreachable, events wait in the outbox",
		Connected: "the bus is not as declared"}[h.State]
	if _, said := m.said.LoadOrStore(text, nil); said {
		return
	}
	m.said.Store(troubledKey, nil)
	time.AfterFunc(sayEvery, func() { m.said.Delete(text) })
	m.opt.Log.Warn(text, "why", h.Why)
}

// troubledKey marks in said that there is something to take back.
const troubledKey = ""

// What is wrong when nothing is known but that there is no answer.
const (
	nobody  = "check nats_url, and that the servers run"
	silence = "the NATS servers do not answer"
)

// explain says in words, without addresses, why no connection comes about.
func (m *Monitor) explain(err error) string {
	if m.opt.Own != nil {
		if unusable := m.opt.Own.Check(); unusable != nil {
			return unusable.Error()
		}
	}
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var dns *net.DNSError
	var timeout net.Error
	var network *net.OpError
	text := ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case err == nil:
		return ""
	case errors.Is(err, nats.ErrAuthorization):
		return "the NATS servers refuse this user (Authorization Violation): the URI of the certificate, or the credentials, are of no user of the suite's account; compare with `bus permissions`"
	case errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "the NATS servers refuse the credentials, which expired or were revoked: put new ones into nats_credentials_file"
	case errors.As(err, &unknown):
		return "the NATS servers' certificate is of an unknown authority: put it into nats_ca_file (or tls.ca_file)"
	case errors.As(err, &host):
		return "the NATS servers' certificate is for another name than the one in nats_url"
	case errors.As(err, &invalid):
		return "the NATS servers' certificate is not valid: " + invalid.Error()
	case strings.Contains(text, "remote error: tls"):
		return "the NATS servers refuse the certificate (" + text[strings.LastIndex(text, "tls: ")+len("tls: "):] + "): their ca_file must hold its authority"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "the NATS servers do not offer TLS, which the settings ask for"
	case errors.As(err, &dns):
		return "the name in nats_url is not known to DNS"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, nats.ErrNoServers):
		return nobody
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, nats.ErrTimeout):
		return silence
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the NATS servers end the connection at once"
	case errors.As(err, &network):
		return wordsOf(network.Err) // without the address
	}
	return wordsOf(err)
}

// wordsOf is what the bus's own answers mean, or the error itself, on one line.
func wordsOf(err error) string {
	if text := topology.Explain(err); text != "" {
		return text
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
