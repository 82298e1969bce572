package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	tenant = "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"
	record = "717f2bfc-c6d4-41fd-b238-3f2f0c0cf777"
)

func one(change ...string) string {
	return strings.NewReplacer(change...).Replace(`{"resourceId":"` + record + `","eventDateUtc":"2024-06-21T01:15:39.902","eventType":"UPDATE",` +
		`"eventCategory":"CONTACT","tenantId":"` + tenant + `","tenantType":"ORGANISATION"}`)
}

func body(events ...string) []byte { return []byte(`{"events":[` + strings.Join(events, ",") + `]}`) }

func TestSigned(t *testing.T) {
	text := []byte("{\"events\":[]}\r\n")
	mac := hmac.New(sha256.New, []byte("key"))
	mac.Write(text)
	good := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	require.True(t, Signed(text, good, "key"))
	require.False(t, Signed(text[:len(text)-1], good, "key"))
	require.False(t, Signed(text, good, "Key"))
	require.False(t, Signed(text, good[:len(good)-4], "key"))
	require.False(t, Signed(text, strings.TrimRight(good, "="), "key"))
	require.False(t, Signed(text, "", "key"))
	none := hmac.New(sha256.New, nil)
	none.Write(text)
	require.False(t, Signed(text, base64.StdEncoding.EncodeToString(none.Sum(nil)), ""), "without a key nothing is signed")
}

func TestParse(t *testing.T) {
	events, others, err := Parse(body(one(), one(record, strings.ToUpper(record)), one("902", "9020")))
	require.NoError(t, err)
	require.Zero(t, others)
	require.Len(t, events, 1, "the same event in other spellings")
	require.Equal(t, Event{ID: events[0].ID, Tenant: tenant, Record: record, At: time.Date(2024, 6, 21, 1, 15, 39, 902e6, time.UTC)}, events[0])

	different := []string{one(), one("UPDATE", "CREATE"), one("902", "903"), one("f777", "f778"), one("594f", "5950")}
	events, _, err = Parse(body(different...))
	require.NoError(t, err)
	require.Len(t, events, len(different))

	events, others, err = Parse(body(one("CONTACT", "INVOICE"), one(record, ""), one(tenant, "x; DROP"), one("2024-06-21T01:15:39.902", "soon"),
		one(record, strings.Repeat("a", 65)), `{}`))
	require.NoError(t, err)
	require.Empty(t, events)
	require.Equal(t, 6, others)

	for _, body := range []string{``, `x`, `{"events":{}}`, `[]`} {
		_, _, err := Parse([]byte(body))
		require.ErrorIs(t, err, ErrNotice, body)
	}
	events, others, err = Parse([]byte(`{"events":[],"lastEventSequence":0,"firstEventSequence":0,"entropy":"S0m3"}`))
	require.NoError(t, err)
	require.Empty(t, events)
	require.Zero(t, others)
}
