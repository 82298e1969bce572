package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
)

// A notice is signed by its own signature and no other, and what is taken from one are identifiers and times.
func FuzzParse(f *testing.F) {
	const key = "a webhook key"
	f.Add([]byte(`{"events":[{"resourceId":"717f2bfc-c6d4-41fd-b238-3f2f0c0cf777","eventDateUtc":"2026-06-21T01:15:39.902","eventType":"Update","eventCategory":"CONTACT","tenantId":"c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"}]}`), "")
	f.Add([]byte(`{"events":[]}`), "AAAA")
	f.Add([]byte(`{"events":[{},{"tenantId":"\u0000"}]}`), "=")
	f.Add([]byte(`[`), "\x00")
	f.Fuzz(func(t *testing.T, body []byte, signature string) {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(body)
		right := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		if !Signed(body, right, key) || Signed(body, right, "") || Signed(append(body, 'x'), right, key) {
			t.Fatal("a signature does not fit what it should, or fits what it should not")
		}
		if sum, err := base64.StdEncoding.DecodeString(signature); Signed(body, signature, key) && (err != nil || string(sum) != string(mac.Sum(nil))) {
			t.Fatalf("%q signs %q", signature, body)
		}
		events, others, err := Parse(body)
		if err != nil && (len(events) > 0 || others > 0) {
			t.Fatal("an error and events")
		}
		ids := map[string]bool{}
		for _, e := range events {
			if !plain(e.Tenant) || !plain(e.Record) || e.Tenant != strings.ToLower(e.Tenant) || ids[e.ID] {
				t.Fatalf("%+v", e)
			}
			ids[e.ID] = true
		}
	})
}
