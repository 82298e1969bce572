// Package webhook reads what a provider tells by itself: whether it was the provider who told, and what changed.
//
// The notices are Xero's. They name records and say nothing of what changed in them; they come late, twice and in any
// order, and the same again for a day when an answer was lost.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// Signed reports whether a signature is that of a body: the HMAC-SHA256 of its bytes as they came, in base64. Without a
// key nothing is signed.
func Signed(body []byte, signature, key string) bool {
	sum, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || key == "" {
		return false
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return hmac.Equal(sum, mac.Sum(nil))
}

// Event says that a record changed.
type Event struct {
	// ID is the same for the same event, whenever it comes: a hash of everything that tells events apart.
	ID string
	// Tenant and Record are the provider's ids.
	Tenant, Record string
	// At is when it changed, by the provider's clock.
	At time.Time
}

// notice is the body of a webhook. One without events only asks whether somebody checks signatures.
type notice struct {
	Events []struct {
		ResourceID    string `json:"resourceId"`
		EventDateUTC  string `json:"eventDateUtc"`
		EventType     string `json:"eventType"`
		EventCategory string `json:"eventCategory"`
		TenantID      string `json:"tenantId"`
	} `json:"events"`
}

// ErrNotice says that a body is no notice.
var ErrNotice = errors.New("the body is no notice of changes")

// Parse returns the events about contacts of a notice, each once, and how many others it has: of other kinds, or with
// something missing.
func Parse(body []byte) (events []Event, others int, err error) {
	var n notice
	if err := json.Unmarshal(body, &n); err != nil {
		return nil, 0, ErrNotice
	}
	seen := map[string]bool{}
	for _, e := range n.Events {
		at, ok := date(e.EventDateUTC)
		if !strings.EqualFold(e.EventCategory, "CONTACT") || !plain(e.TenantID) || !plain(e.ResourceID) || !ok {
			others++
			continue
		}
		one := Event{Tenant: strings.ToLower(e.TenantID), Record: strings.ToLower(e.ResourceID), At: at}
		sum := sha256.Sum256([]byte(strings.Join([]string{one.Tenant, one.Record, strings.ToUpper(e.EventType), at.Format(time.RFC3339Nano)}, "\n")))
		if one.ID = hex.EncodeToString(sum[:]); !seen[one.ID] {
			seen[one.ID] = true
			events = append(events, one)
		}
	}
	return events, others, nil
}

// maxID bounds an identifier; the provider's are UUIDs.
const maxID = 64

// plain reports whether a text can be an identifier.
func plain(id string) bool {
	return id != "" && len(id) <= maxID && strings.Trim(id, "0123456789abcdefABCDEF-") == ""
}

// date reads a time that has no zone and any number of digits after the second.
func date(text string) (time.Time, bool) {
	at, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(text, "Z"))
	return at, err == nil
}
