package breached

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// The file: four bytes that say what it is, the number of passwords (4 bytes, big endian), then the differences between
// the sorted hashes in Golomb-Rice code: the quotient by spread as ones with a zero behind, the rest in spreadBits bits,
// the highest first.
const (
	magic      = "gcs1"
	headerSize = len(magic) + 4
	spreadBits = 20
	spread     = 1 << spreadBits
)

var errFile = errors.New("breached: the list is damaged")

// place is where a password stands among n: a hash, evenly spread over n times spread places.
func place(password string, n int) uint64 {
	sum := sha256.Sum256([]byte(password))
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(sum[:8]), uint64(n)*spread)
	return hi
}

// Pack makes the list of passwords that were folded. The same passwords make the same bytes.
func Pack(passwords []string) []byte {
	unique := slices.Compact(slices.Sorted(slices.Values(passwords)))
	places := make([]uint64, len(unique))
	for i, p := range unique {
		places[i] = place(p, len(unique))
	}
	slices.Sort(places)
	w := writer{buf: binary.BigEndian.AppendUint32([]byte(magic), uint32(len(unique)))}
	last := uint64(0)
	for _, p := range places {
		d := p - last
		for range d >> spreadBits {
			w.put(1)
		}
		w.put(0)
		for i := spreadBits - 1; i >= 0; i-- {
			w.put(byte(d>>i) & 1)
		}
		last = p
	}
	return w.buf
}

func header(list []byte) (n int, rest []byte, err error) {
	if len(list) < headerSize || string(list[:len(magic)]) != magic {
		return 0, nil, errFile
	}
	return int(binary.BigEndian.Uint32(list[len(magic):])), list[headerSize:], nil
}

// contains looks a folded password up. In a damaged list nothing is found; a test reads the whole one that is shipped.
func contains(list []byte, password string) bool {
	n, rest, err := header(list)
	if err != nil || n == 0 {
		return false
	}
	wanted, at := place(password, n), uint64(0)
	r := reader{buf: rest}
	for range n {
		at += r.next()
		if at >= wanted || r.over {
			return at == wanted && !r.over
		}
	}
	return false
}

// writer appends bits, the highest of a byte first.
type writer struct {
	buf  []byte
	free int // bits left in the last byte
}

func (w *writer) put(bit byte) {
	if w.free == 0 {
		w.buf, w.free = append(w.buf, 0), 8
	}
	w.free--
	w.buf[len(w.buf)-1] |= bit << w.free
}

// reader reads what writer wrote.
type reader struct {
	buf  []byte
	word uint64 // the next bits, the highest first
	have int    // how many of them
	over bool   // the end came too early
}

// fill makes sure of more bits than a quotient step or a rest takes.
func (r *reader) fill() {
	for r.have <= 56 && len(r.buf) > 0 {
		r.word |= uint64(r.buf[0]) << (56 - r.have)
		r.buf, r.have = r.buf[1:], r.have+8
	}
}

func (r *reader) take(n int) uint64 {
	r.fill()
	if r.have < n {
		r.over = true
		return 0
	}
	v := r.word >> (64 - n)
	r.word, r.have = r.word<<n, r.have-n
	return v
}

// next reads one difference.
func (r *reader) next() uint64 {
	quotient := uint64(0)
	for r.take(1) == 1 {
		quotient++
	}
	return quotient<<spreadBits | r.take(spreadBits)
}
