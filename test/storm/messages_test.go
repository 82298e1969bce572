package storm

import (
	"bytes"
	"math"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/concord-suite/concord/test/story"
)

// manner is how wrong a request is meant to be.
type manner int

const (
	right  manner = iota // as somebody would send it
	nearly               // one field in five is not
	wild                 // anything that the types allow
)

func mannerOf(r *rand.Rand) manner {
	return []manner{right, right, right, right, nearly, nearly, nearly, wild, wild}[r.IntN(9)]
}

// author writes requests for one caller.
type author struct {
	*rand.Rand
	who  *actor
	pool *pool
	how  manner
}

// message makes a request message.
func (a author) message(d protoreflect.MessageDescriptor, depth int) protoreflect.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if f.ContainingOneof() != nil && a.IntN(f.ContainingOneof().Fields().Len()) > 0 || depth > 4 && f.Message() != nil ||
			a.how == nearly && a.IntN(8) == 0 || a.how == wild && a.IntN(3) == 0 {
			continue
		}
		switch {
		case f.IsMap():
		case f.IsList():
			list := m.Mutable(f).List()
			for range a.length() {
				list.Append(a.value(f, depth))
			}
		default:
			m.Set(f, a.value(f, depth))
		}
	}
	return m
}

// length is how long a list is: short, or longer than any limit.
func (a author) length() int {
	if a.how == wild && a.IntN(10) == 0 {
		return 2000
	}
	return a.IntN(3)
}

// odd says whether a value is meant to be wrong.
func (a author) odd() bool {
	return a.how == wild && a.IntN(2) == 0 || a.how == nearly && a.IntN(5) == 0
}

func (a author) value(f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoreflect.ValueOfMessage(a.inner(f, depth))
	case protoreflect.EnumKind:
		if a.odd() {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(a.number()))
		}
		values := f.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get(a.IntN(values.Len())).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(a.IntN(2) == 0)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(a.text(string(f.Name()), string(f.ContainingMessage().Name())))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(a.junk()))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(a.number()))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(a.number())
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(a.number()))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(a.number()))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(a.NormFloat64()))
	default:
		return protoreflect.ValueOfFloat64(a.NormFloat64() * 1e9)
	}
}

// inner makes a message inside a message; times are near, or anything.
func (a author) inner(f protoreflect.FieldDescriptor, depth int) protoreflect.Message {
	d := f.Message()
	m := dynamicpb.NewMessage(d)
	field := func(name protoreflect.Name) protoreflect.FieldDescriptor { return d.Fields().ByName(name) }
	switch d.FullName() {
	case "google.protobuf.Timestamp", "google.protobuf.Duration":
		seconds := 1_790_000_000 + int64(a.IntN(1<<25))
		if a.odd() {
			seconds = a.number()
		}
		m.Set(field("seconds"), protoreflect.ValueOfInt64(seconds))
		return m
	case "google.protobuf.FieldMask":
		for range a.length() {
			m.Mutable(field("paths")).List().Append(protoreflect.ValueOfString(a.path(f)))
		}
		return m
	}
	return a.message(d, depth+1)
}

// path is a path of a mask: a field of a message beside it.
func (a author) path(mask protoreflect.FieldDescriptor) string {
	if a.odd() {
		return a.junk()
	}
	siblings := mask.ContainingMessage().Fields()
	for range 5 {
		if m := siblings.Get(a.IntN(siblings.Len())).Message(); m != nil && m != mask.Message() && m.Fields().Len() > 0 {
			return string(m.Fields().Get(a.IntN(m.Fields().Len())).Name())
		}
	}
	return "*"
}

func (a author) number() int64 {
	if !a.odd() {
		return int64(a.IntN(100))
	}
	edges := []int64{0, -1, 1000, 1001, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64, 1 << 53}
	return edges[a.IntN(len(edges))]
}

// text is a text for a field, by what such fields hold.
func (a author) text(field, message string) string {
	if a.odd() {
		return a.junk()
	}
	if v := a.pool.any(a.Rand, field); v != "" && a.IntN(4) > 0 {
		return v
	}
	switch {
	case field == "request_id":
		return a.pool.fresh(a.Rand)
	case field == "name", field == "parent":
		return a.name(message)
	case field == "password" && a.who.kind == "operator":
		return "" // the only operator neither changes how they sign in nor is made to wait for having guessed
	case field == "password":
		return story.Password
	case strings.Contains(field, "password"), strings.HasSuffix(field, "secret"):
		// The current one is never right, or nobody could sign in again after a change of password.
		return "seven otters below the weir"
	case field == "page_token":
		return ""
	case field == "pin", field == "email_pin", field == "totp", strings.HasSuffix(field, "code"):
		return []string{"123456", "000000", "civ_abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq"}[a.IntN(3)]
	case strings.HasSuffix(field, "email"):
		return []string{"new" + a.pool.fresh(a.Rand)[:8] + "@storm.example", "x@storm.example"}[a.IntN(2)]
	case strings.HasSuffix(field, "mobile"):
		return "+6149157015" + string(rune('6'+a.IntN(4)))
	case strings.HasSuffix(field, "uri"), strings.HasSuffix(field, "url"):
		return []string{"http://127.0.0.1:49152/done", "https://evil.example/", "javascript:alert(1)"}[a.IntN(3)]
	}
	if v := a.pool.of(a.Rand, field+"s", a.firm()); v != "" && a.IntN(5) > 0 { // "client", "folder", "connection"
		return v
	}
	return []string{"Storm", "a b", "word", a.pool.fresh(a.Rand)}[a.IntN(4)]
}

// firm is whose things a request is about: mostly the caller's own.
func (a author) firm() string {
	if a.IntN(4) == 0 || a.who.firm == "" {
		return a.pool.any(a.Rand, "firms")
	}
	return a.who.firm
}

// name is a resource name for a method, by the word that its message's name holds.
func (a author) name(message string) string {
	best := ""
	a.pool.mu.Lock()
	for collection := range a.pool.values {
		word := strings.ToLower(strings.TrimSuffix(collection, "s"))
		if strings.Contains(strings.ToLower(message), word) && len(collection) > len(best) {
			best = collection
		}
	}
	a.pool.mu.Unlock()
	if best == "" || strings.HasPrefix(message, "List") || strings.HasPrefix(message, "Create") || a.IntN(6) == 0 {
		return a.firm()
	}
	if v := a.pool.of(a.Rand, best, a.firm()); v != "" {
		return v
	}
	return a.firm()
}

// noText stands for bytes that are no UTF-8: the libraries refuse to write those, so they are put in afterwards, as many as
// these.
const noText = "\uE0FF"

// spoil puts in what noText stands for.
func spoil(message []byte) []byte {
	return bytes.ReplaceAll(message, []byte(noText), []byte("\xff\xfe\x80"))
}

// junk is what no field wants.
func (a author) junk() string {
	all := []string{
		"", " ", "\x00", "\u202e", "é\u0301", "'; DROP TABLE accounts; --", "<script>alert(1)</script>", "../../etc/passwd", "%00%0a",
		"firms/", "firms/*", "firms/../firms", "firms/00000000-0000-0000-0000-000000000000", "{{7*7}}", "${jndi:x}", "\r\nSet-Cookie: a=b",
		"null", "-1", "9223372036854775808", "NaN", "@", "a@b", "+61", "https://[::1", "\U0010FFFF", noText,
	}
	if a.IntN(8) == 0 {
		return strings.Repeat(all[a.IntN(len(all))]+"x", 1<<a.IntN(14))
	}
	if a.IntN(8) == 0 {
		return a.pool.any(a.Rand, "firms") + "/" + all[a.IntN(len(all))]
	}
	return all[a.IntN(len(all))]
}
