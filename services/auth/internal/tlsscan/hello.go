package tlsscan

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
)

// suites13 are the cipher suites of TLS 1.3 (RFC 8446, B.4). crypto/tls offers them all or none, so they are asked for one by
// one in a greeting of our own.
var suites13 = map[uint16]string{
	0x1301: "TLS_AES_128_GCM_SHA256",
	0x1302: "TLS_AES_256_GCM_SHA384",
	0x1303: "TLS_CHACHA20_POLY1305_SHA256",
	0x1304: "TLS_AES_128_CCM_SHA256",
	0x1305: "TLS_AES_128_CCM_8_SHA256",
}

// greet tells whether the server takes a cipher suite of TLS 1.3: it is offered that one alone, and answers with it or
// refuses.
func (s *scanner) greet(ctx context.Context, suite uint16) (bool, error) {
	hello, err := clientHello(s.host, suite)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, stepWait)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // a server that says nothing is left
	if _, err := conn.Write(hello); err != nil {
		return false, nil //nolint:nilerr // hung up on: it does not take it
	}
	got, err := serverSuite(conn)
	return err == nil && got == suite, nil
}

var errRefused = errors.New("tlsscan: the server refuses")

// serverSuite reads the cipher suite of a ServerHello, also of one that asks for another key.
func serverSuite(r io.Reader) (uint16, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	const handshake, serverHello = 22, 2
	if head[0] != handshake {
		return 0, errRefused
	}
	body := make([]byte, min(int(binary.BigEndian.Uint16(head[3:])), 1<<14))
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, err
	}
	const beforeID = 4 + 2 + 32 // type and length, version, random
	if len(body) < beforeID+1 || body[0] != serverHello {
		return 0, errRefused
	}
	at := beforeID + 1 + int(body[beforeID])
	if len(body) < at+2 {
		return 0, errRefused
	}
	return binary.BigEndian.Uint16(body[at:]), nil
}

// clientHello is a greeting for TLS 1.3 with one cipher suite.
func clientHello(host string, suite uint16) ([]byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	var random [64]byte // the random, and a session id for servers behind old boxes
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	var ext []byte
	add := func(kind uint16, body []byte) {
		ext = binary.BigEndian.AppendUint16(ext, kind)
		ext = append(ext, sized(2, body)...)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		add(0, sized(2, append([]byte{0}, sized(2, []byte(host))...)))
	}
	add(10, sized(2, words(0x001d, 0x0017)))                                                                 // groups: X25519, P-256
	add(13, sized(2, words(0x0403, 0x0804, 0x0807, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601))) // signatures
	add(43, sized(1, words(0x0304)))                                                                         // TLS 1.3 alone
	add(51, sized(2, append(words(0x001d), sized(2, key.PublicKey().Bytes())...)))
	body := append(words(0x0303), random[:32]...)
	body = append(body, sized(1, random[32:])...)
	body = append(body, sized(2, words(suite))...)
	body = append(body, 1, 0) // no compression
	body = append(body, sized(2, ext)...)
	message := append([]byte{1}, sized(3, body)...)
	return append([]byte{22, 3, 1}, sized(2, message)...), nil
}

// sized puts the length of b in front of it, in n bytes.
func sized(n int, b []byte) []byte {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(b)))
	return append(append([]byte{}, size[4-n:]...), b...)
}

func words(all ...uint16) (b []byte) {
	for _, w := range all {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

func (s *scanner) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: stepWait}
	return d.DialContext(ctx, "tcp", s.address)
}
