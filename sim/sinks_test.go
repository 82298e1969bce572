package sim_test

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/sinks"
	"github.com/concord-suite/concord/sim/world"
)

const mobile = "+61491570156"

// sms sends a text message and returns the decoded answer.
func sms(t *testing.T, w *sim.World, form url.Values) (int, map[string]any) {
	t.Helper()
	req := request(t, http.MethodPost, w.URL()+"/2010-04-01/Accounts/"+sim.SMSAccount+"/Messages.json", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(sim.SMSAccount, sim.SMSToken)
	res, body := send(t, req)
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %s", res.Status, body)
	}
	return res.StatusCode, answer
}

func pin(to string) url.Values {
	return url.Values{"To": {to}, "From": {"Concord"}, "Body": {"Your PIN is 123456"}}
}

// inbox reads the messages to somebody, waiting for the first.
func inbox(t *testing.T, w *sim.World, to, after string) []world.Message {
	t.Helper()
	list, err := w.Remote().Messages(t.Context(), to, after, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestATextMessageIsDeliveredAndToldOf(t *testing.T) {
	w := start(t, sim.Config{})
	told := make(chan url.Values, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		if want := sinks.Sign("http://"+r.Host+"/status?x=1", r.PostForm); r.Header.Get("X-Twilio-Signature") != want {
			t.Errorf("signature %s, want %s", r.Header.Get("X-Twilio-Signature"), want)
		}
		told <- r.PostForm
	}))
	defer hook.Close()
	form := pin(mobile)
	form.Set("StatusCallback", hook.URL+"/status?x=1")
	status, answer := sms(t, w, form)
	if status != http.StatusCreated || answer["status"] != "queued" || !strings.HasPrefix(answer["sid"].(string), "SM") {
		t.Fatalf("%d %v", status, answer)
	}
	for _, want := range []string{"sent", "delivered"} {
		if got := receive(t, told); got.Get("MessageStatus") != want || got.Get("MessageSid") != answer["sid"] || got.Get("To") != mobile {
			t.Errorf("told %v, want %s", got, want)
		}
	}
	if list := inbox(t, w, "+61 491 570 156", ""); len(list) != 1 || list[0].Text != "Your PIN is 123456" || list[0].Status != "delivered" {
		t.Errorf("the inbox has %+v", list)
	}
	req := request(t, http.MethodGet, w.URL()+answer["uri"].(string), nil)
	req.SetBasicAuth(sim.SMSAccount, sim.SMSToken)
	if _, body := send(t, req); !strings.Contains(string(body), `"status":"delivered"`) {
		t.Errorf("fetched: %s", body)
	}
}

func TestTextMessagesCanFail(t *testing.T) {
	w := start(t, sim.Config{})
	rule := func(d world.DeliveryRule) {
		if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/deliveries", d, nil); err != nil {
			t.Fatal(err)
		}
	}
	rule(world.DeliveryRule{Channel: sinks.SMS, To: "+614*", Result: "undelivered", Code: 30005, Times: 1})
	rule(world.DeliveryRule{Channel: sinks.SMS, To: "+64*", Result: "reject"})
	if _, body := send(t, request(t, http.MethodGet, w.URL()+"/control/deliveries", nil)); strings.Count(string(body), `"result"`) != 2 {
		t.Errorf("rules are %s", body)
	}
	sms(t, w, pin(mobile))
	until(t, func() bool {
		list := inbox(t, w, mobile, "")
		return list[0].Status == "undelivered" && list[0].Error == 30005
	})
	sms(t, w, pin(mobile))
	until(t, func() bool { list := inbox(t, w, mobile, ""); return len(list) == 2 && list[1].Status == "delivered" })
	if status, answer := sms(t, w, pin("+64210000000")); status != http.StatusBadRequest || answer["code"] != 21610.0 {
		t.Errorf("a rejected number: %d %v", status, answer)
	}
	if err := w.Remote().Do(t.Context(), http.MethodDelete, "/control/deliveries", nil, nil); err != nil {
		t.Fatal(err)
	}
	if status, answer := sms(t, w, pin("+64210000000")); status != http.StatusCreated {
		t.Errorf("without rules: %d %v", status, answer)
	}
}

func TestADeliveryUnderWayGoesOnAfterARestart(t *testing.T) {
	dir := t.TempDir()
	w := start(t, sim.Config{Dir: dir})
	reached, hold := make(chan string, 10), make(chan struct{})
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached <- r.PostFormValue("MessageStatus")
		<-hold
	}))
	defer hook.Close()
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	do(t, w, "/control/deliveries", world.DeliveryRule{Channel: sinks.SMS, To: "*", Result: "failed", Times: 1}, nil)
	form := pin(mobile)
	form.Set("StatusCallback", hook.URL)
	sms(t, w, form)
	if got := receive(t, reached); got != "sent" {
		t.Errorf("told %s", got)
	}
	w.Close()
	release()
	w = start(t, sim.Config{Dir: dir})
	for _, want := range []string{"sent", "failed"} {
		if got := receive(t, reached); got != want {
			t.Errorf("after the restart told %s, want %s", got, want)
		}
	}
	if list := inbox(t, w, mobile, ""); list[0].Status != "failed" || list[0].Error != 30003 {
		t.Errorf("the inbox has %+v", list)
	}
}

func TestBadTextMessagesAreRefused(t *testing.T) {
	w := start(t, sim.Config{})
	for code, change := range map[float64]func(url.Values){
		21604: func(f url.Values) { f.Del("To") },
		21211: func(f url.Values) { f.Set("To", "0491 570 156") },
		21603: func(f url.Values) { f.Del("From") },
		21602: func(f url.Values) { f.Del("Body") },
	} {
		form := pin(mobile)
		change(form)
		if status, answer := sms(t, w, form); status != http.StatusBadRequest || answer["code"] != code {
			t.Errorf("%d %v, want code %v", status, answer, code)
		}
	}
	req := request(t, http.MethodPost, w.URL()+"/2010-04-01/Accounts/"+sim.SMSAccount+"/Messages.json", nil)
	req.SetBasicAuth(sim.SMSAccount, "wrong")
	if res, body := send(t, req); res.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "20003") {
		t.Errorf("a wrong token: %s %s", res.Status, body)
	}
}

const letter = "Subject: =?utf-8?q?Ihr_PIN_f=C3=BCr_heute?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nYour PIN is =\r\n654321=C2=A0!\r\n" +
	"--b\r\nContent-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+NjU0MzIxPC9iPg==\r\n--b--\r\n"

func TestMailIsTakenAndReadable(t *testing.T) {
	w := start(t, sim.Config{})
	auth := smtp.PlainAuth("", "anybody", "anything", "127.0.0.1")
	if err := smtp.SendMail(w.SMTPAddr(), auth, "concord@example.com", []string{"pat@example.com", "Lee@Example.com"}, []byte(letter)); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"PAT@example.com", "lee@example.com"} {
		list := inbox(t, w, to, "")
		if len(list) != 1 || list[0].Subject != "Ihr PIN für heute" || list[0].Text != "Your PIN is 654321\u00a0!" || list[0].HTML != "<b>654321</b>" || list[0].From != "concord@example.com" {
			t.Errorf("%s has %+v", to, list)
		}
	}
	if err := smtp.SendMail(w.SMTPAddr(), nil, "a@example.com", []string{"pat@example.com"}, []byte("no head at all")); err != nil {
		t.Fatal(err)
	}
	first := inbox(t, w, "pat@example.com", "")[0]
	if list := inbox(t, w, "pat@example.com", first.ID); len(list) != 1 || !strings.Contains(list[0].Text, "no head at all") {
		t.Errorf("an odd mail reads %+v", list)
	}
}

// dialogue speaks SMTP line by line and returns the last line of each answer.
func dialogue(t *testing.T, w *sim.World, lines ...string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", w.SMTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	var answers []string
	read := func() {
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				answers = append(answers, "closed")
				return
			}
			if len(line) < 4 || line[3] != '-' {
				answers = append(answers, strings.TrimSpace(line))
				return
			}
		}
	}
	read()
	for _, line := range lines {
		fmt.Fprintf(conn, "%s\r\n", line)
		read()
	}
	return answers
}

func TestTheMailServerKnowsItsManners(t *testing.T) {
	w := start(t, sim.Config{})
	got := dialogue(t, w, "EHLO me", "AUTH LOGIN", "dXNlcg==", "cGFzcw==", "AUTH NTLM", "AUTH", "DATA", "RCPT TO:<a@example.com>", "MAIL FROM:<b@example.com> SIZE=9",
		"RCPT TO:<>", "RCPT TO:<a@example.com>", "RSET", "DATA", "NOOP", "WHAT", "QUIT")
	want := []string{"220", "250", "334", "334", "235", "504", "501", "503", "503", "250", "501", "250", "250", "503", "250", "502", "221"}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("answer %d is %q, want %s", i, got[i], want[i])
		}
	}
}

func TestMailCanFail(t *testing.T) {
	w := start(t, sim.Config{})
	if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/deliveries", world.DeliveryRule{Channel: sinks.Mail, To: "*@gone.example", Result: "reject", Code: 452}, nil); err != nil {
		t.Fatal(err)
	}
	if got := dialogue(t, w, "MAIL FROM:<a@example.com>", "RCPT TO:<x@gone.example>", "RCPT TO:<x@example.com>"); !strings.HasPrefix(got[2], "452") || !strings.HasPrefix(got[3], "250") {
		t.Errorf("answers are %q", got)
	}
	inject(t, w, world.Fault{Kind: faults.Status, Status: 421, Path: "smtp/data", Count: 1})
	inject(t, w, world.Fault{Kind: faults.Drop, Path: "smtp/ehlo", After: 1, Count: 1})
	if got := dialogue(t, w, "EHLO me", "MAIL FROM:<a@example.com>", "RCPT TO:<x@example.com>", "DATA", "NOOP"); !strings.HasPrefix(got[4], "421") || got[5] != "closed" {
		t.Errorf("answers are %q", got)
	}
	if got := dialogue(t, w, "EHLO me"); got[1] != "closed" {
		t.Errorf("answers are %q", got)
	}
}

func TestTheInboxCanBeLookedAtAndEmptied(t *testing.T) {
	w := start(t, sim.Config{})
	sms(t, w, url.Values{"To": {mobile}, "From": {"x"}, "Body": {"<script>alert(1)</script>"}})
	until(t, func() bool { return inbox(t, w, mobile, "")[0].Status == "delivered" })
	res, page := send(t, request(t, http.MethodGet, w.URL()+"/inbox", nil))
	if !strings.Contains(string(page), "&lt;script&gt;") || !strings.Contains(string(page), `http-equiv="refresh"`) || !strings.Contains(res.Header.Get("Content-Type"), "html") {
		t.Errorf("the page is %s", page)
	}
	if _, body := send(t, request(t, http.MethodGet, w.URL()+"/inbox/messages?to=+61491570156&channel=mail", nil)); string(body) != `{"messages":[]}` {
		t.Errorf("mail to a telephone: %s", body)
	}
	if _, body := send(t, request(t, http.MethodGet, w.URL()+"/inbox/messages?to=+61491570156", nil)); !strings.Contains(string(body), mobile) {
		t.Errorf("an unescaped plus: %s", body)
	}
	if res, _ := send(t, request(t, http.MethodGet, w.URL()+"/inbox/messages?wait=1h", nil)); res.StatusCode != http.StatusBadRequest {
		t.Errorf("waiting for an hour: %s", res.Status)
	}
	if list, err := w.Remote().Messages(t.Context(), "nobody@example.com", "", 10*time.Millisecond); err != nil || len(list) > 0 {
		t.Errorf("waiting in vain: %v %v", list, err)
	}
	if err := w.Remote().Do(t.Context(), http.MethodDelete, "/inbox/messages", nil, nil); err != nil {
		t.Fatal(err)
	}
	if list, err := w.Remote().Messages(t.Context(), mobile, "", 0); err != nil || len(list) > 0 {
		t.Errorf("after emptying: %v %v", list, err)
	}
}

// hook collects what is posted to it.
func hook(t *testing.T, header string) (address string, got chan [2]string) {
	t.Helper()
	got = make(chan [2]string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- [2]string{r.Header.Get(header), string(body)}
	}))
	t.Cleanup(server.Close)
	return server.URL, got
}

// tell makes a call of the control API.
func tell(t *testing.T, w *sim.World, path string, in map[string]any) error {
	t.Helper()
	return w.Remote().Do(t.Context(), http.MethodPost, "/control/"+path, in, nil)
}

// texted sends a text message by the generic webhook.
func texted(t *testing.T, w *sim.World, secret, body string) (int, string) {
	t.Helper()
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + body))
	req := request(t, http.MethodPost, w.URL()+sinks.WebhookPath, strings.NewReader(body))
	req.Header.Set("Concord-Signature", "t="+at+",v1="+hex.EncodeToString(mac.Sum(nil)))
	res, answer := send(t, req)
	return res.StatusCode, string(answer)
}

func TestTextMessagesByTheGenericWebhook(t *testing.T) {
	w := start(t, sim.Config{Now: time.Now})
	address, got := hook(t, "Concord-Signature")
	body := `{"id":"01890000-0000-7000-8000-000000000001","to":"` + mobile + `","text":"Your PIN is 123456","report_url":"` + address + `"}`
	status, first := texted(t, w, sinks.WebhookSecret, body)
	if status != http.StatusAccepted {
		t.Fatal(status, first)
	}
	for _, want := range []string{`"state":"sent"`, `"state":"delivered"`} {
		if report := <-got; !strings.Contains(report[1], want) || !strings.HasPrefix(report[0], "t=") {
			t.Fatal(report)
		}
	}
	if status, again := texted(t, w, sinks.WebhookSecret, body); status != http.StatusOK || again != first {
		t.Fatal("the same id is sent once", status, again)
	}
	if n := len(inbox(t, w, mobile, "")); n != 1 {
		t.Fatal(n)
	}
	if status, _ := texted(t, w, "another secret", body); status != http.StatusForbidden {
		t.Fatal(status)
	}
	if status, _ := texted(t, w, sinks.WebhookSecret, `{"id":"x"}`); status != http.StatusBadRequest {
		t.Fatal(status)
	}
}

func TestReportsCanBeSilentForgedAndRepeated(t *testing.T) {
	w := start(t, sim.Config{})
	address, got := hook(t, "X-Twilio-Signature")
	right := func(report [2]string) bool {
		form, err := url.ParseQuery(report[1])
		return err == nil && report[0] == sinks.Sign(address, form)
	}
	form := pin(mobile)
	form.Set("StatusCallback", address)
	if err := tell(t, w, "deliveries", map[string]any{"channel": "sms", "to": mobile, "result": "undelivered", "forged": true, "times": 1}); err != nil {
		t.Fatal(err)
	}
	sms(t, w, form)
	for range 2 {
		if right(<-got) {
			t.Fatal("it is signed as if it were true")
		}
	}
	if err := tell(t, w, "deliveries", map[string]any{"channel": "sms", "to": mobile, "result": "delivered", "silent": true, "times": 1}); err != nil {
		t.Fatal(err)
	}
	sms(t, w, form)
	last := inbox(t, w, mobile, "")[1]
	if err := tell(t, w, "deliveries/report", map[string]any{"message": last.ID, "status": "delivered"}); err != nil {
		t.Fatal(err)
	}
	if report := <-got; !right(report) || !strings.Contains(report[1], "MessageStatus=delivered") {
		t.Fatal("what was silent is told by hand alone", report)
	}
	form.Set("StatusCallback", "https://app.example.com/hook")
	sms(t, w, form)
	far := inbox(t, w, mobile, last.ID)[0]
	if err := tell(t, w, "deliveries/report", map[string]any{"message": far.ID, "status": "delivered"}); err == nil {
		t.Fatal("nobody else's machine is called")
	}
}
