package transport

import (
	"errors"
	"io"
)

// ErrLarge is what a Bounded ends with when the document, or one token of it, is longer than it may be.
var ErrLarge = errors.New("it is larger than an answer can be")

// Slack is what the buffers of a decoder may read beyond the token it is at.
const Slack = 64 << 10

// Bounded reads a provider's answer and counts: the bytes of the whole document, and those since its last token. So
// neither an endless answer nor one endless value is ever held in memory.
type Bounded struct {
	in       io.Reader
	left     int64
	token    int
	maxToken int
	err      error
}

// NewBounded reads at most limit bytes of in, and no token longer than maxToken bytes, give or take what decoders buffer.
func NewBounded(in io.Reader, limit int64, maxToken int) *Bounded {
	return &Bounded{in: in, left: limit, token: maxToken, maxToken: maxToken}
}

// Token begins a new token.
func (b *Bounded) Token() { b.token = b.maxToken }

// Read implements io.Reader.
func (b *Bounded) Read(p []byte) (int, error) {
	if b.left <= 0 || b.token <= -Slack {
		return 0, ErrLarge
	}
	n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.token -= n
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = err
	}
	return n, err
}

// Broke is what the transport said when the document did not arrive as a whole, nil when it did: a document that is wrong
// is told apart from one that was cut off.
func (b *Bounded) Broke() error { return b.err }
