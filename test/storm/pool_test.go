package storm

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/test/story"
)

// kept is how many values of a field are remembered; older ones make room, so that the storm keeps up with what it makes.
const kept = 48

// pool is what was seen in answers, to be sent again: names, challenges, page tokens, codes. It knows which firm's callers
// saw an id first, to notice when another firm's see it.
type pool struct {
	mu     sync.Mutex
	values map[string][]string // by field in lower snake case, and by collection ("clients") for resource names
	owner  map[string]string   // UUID to firm
	sent   map[string]bool     // UUIDs that the storm made up itself
	said   map[string]bool     // firm and UUID: what a firm's callers have sent, and may find again in the firm's ledger
}

func newPool() *pool {
	return &pool{values: map[string][]string{}, owner: map[string]string{}, sent: map[string]bool{}, said: map[string]bool{}}
}

// know takes what a firm's people can be addressed by.
func (p *pool) know(adm *story.Person) {
	p.mu.Lock()
	defer p.mu.Unlock()
	domain := adm.Email[strings.IndexByte(adm.Email, '@'):]
	for _, who := range []string{"admin", "weak", "staff", "reader", "contact"} {
		p.keep("email", who+domain)
	}
	p.keep("firms", adm.Firm)
	p.owner[strings.TrimPrefix(adm.Firm, "firms/")] = adm.Firm
}

// everybodys learns ids that any firm may see.
func (p *pool) everybodys(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range anyUUID.FindAllString(text, -1) {
		p.sent[id] = true
	}
}

// common learns which ids are the installation's, such as its keys': those that the evidence of two firms holds.
func (p *pool) common(t *testing.T, adm *story.Person) {
	pack, err := adm.Send(t.Context(), "GET", "/v1/"+adm.Firm+"/evidence", nil, "")
	require.NoError(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range anyUUID.FindAllString(string(pack), -1) {
		if owner := p.owner[id]; owner != "" && owner != adm.Firm {
			p.sent[id] = true
		}
		p.owner[id] = adm.Firm
	}
}

// keep remembers a value; the lock is the caller's.
func (p *pool) keep(field, value string) {
	values := p.values[field]
	for _, v := range values {
		if v == value {
			return
		}
	}
	if len(values) >= kept {
		values = values[1:]
	}
	p.values[field] = append(values, value)
}

// any is a value seen in a field or collection; "" when there is none.
func (p *pool) any(r *rand.Rand, field string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if values := p.values[field]; len(values) > 0 {
		return values[r.IntN(len(values))]
	}
	return ""
}

// of is like any, and prefers names of a firm.
func (p *pool) of(r *rand.Rand, collection, firm string) string {
	for range 4 {
		if v := p.any(r, collection); firm == "" || strings.HasPrefix(v, firm+"/") {
			return v
		}
	}
	return p.any(r, collection)
}

// fresh makes an id that nobody has seen.
func (p *pool) fresh(r *rand.Rand) string {
	id := fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[id] = true
	return id
}

// says remembers what a request tells its firm, before it is sent.
func (p *pool) says(who *actor, request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range anyUUID.FindAllString(request, -1) {
		p.said[who.firm+" "+id] = true
	}
}

var (
	anyUUID  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	resource = regexp.MustCompile(`^firms/` + anyUUID.String() + `(?:/([A-Za-z]+)/[^/]+)*$`)
)

// judge learns from an answer, and says which ids in it belong to another firm and were never sent by this one's callers. An
// id belongs to the firm whose caller got it first without having sent it.
func (p *pool) judge(who *actor, o outcome) (leaked []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.json != nil {
		var v any
		if json.Unmarshal(o.json, &v) == nil {
			p.learn("", v)
		}
	}
	// The ticket in the address of bytes is the permission, whoever sends it, and the storm hands tickets around.
	if who.firm == "" || strings.HasSuffix(o.call, " /v1/bytes/{token}") {
		return nil
	}
	for _, id := range anyUUID.FindAllString(o.answer, -1) {
		switch owner := p.owner[id]; {
		case p.sent[id], p.said[who.firm+" "+id]:
		case owner == "":
			p.owner[id] = who.firm
		case owner != who.firm:
			leaked = append(leaked, id)
		}
	}
	return leaked
}

// learn remembers every text of an answer under its field.
func (p *pool) learn(field string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			p.learn(snake(key), value)
		}
	case []any:
		for _, value := range v {
			p.learn(field, value)
		}
	case string:
		if v == "" || len(v) > 512 {
			return
		}
		if field == "tenant_id" { // the provider's, for whoever may see it there
			p.sent[v] = true
		}
		if m := resource.FindStringSubmatch(v); m != nil {
			collection := m[1]
			if collection == "" {
				collection = "firms"
			}
			p.keep(collection, v)
			return
		}
		// Of the lists of hundreds of clients only what can be sent again is worth remembering.
		if strings.HasSuffix(field, "token") || strings.HasSuffix(field, "code") || field == "challenge" || field == "session" ||
			field == "etag" || field == "factor" || field == "enrolment" || field == "add_in" || field == "tenant_id" {
			p.keep(field, v)
		}
	}
}

// snake spells a field of JSON as the contract does.
func snake(name string) string {
	var b strings.Builder
	for _, c := range name {
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteRune(c)
	}
	return b.String()
}
