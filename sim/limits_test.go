package sim_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

func setting(t *testing.T, w *sim.World, settings map[string]any) {
	t.Helper()
	if err := w.Remote().Do(t.Context(), http.MethodPost, "/control/settings", settings, nil); err != nil {
		t.Fatal(err)
	}
}

// remaining reads the three headers of an answer: minute, day, app.
func remaining(res *http.Response) []string {
	return []string{res.Header.Get("X-MinLimit-Remaining"), res.Header.Get("X-DayLimit-Remaining"), res.Header.Get("X-AppMinLimit-Remaining")}
}

func expectLimit(t *testing.T, res *http.Response, body []byte, problem, retry string) {
	t.Helper()
	if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("X-Rate-Limit-Problem") != problem ||
		res.Header.Get("Retry-After") != retry || len(body) > 0 {
		t.Errorf("%s, problem %q, retry after %q, body %q; want 429, %s, %q and no body", res.Status,
			res.Header.Get("X-Rate-Limit-Problem"), res.Header.Get("Retry-After"), body, problem, retry)
	}
}

func TestSixtyCallsAMinute(t *testing.T) {
	s := practice(t, sim.Config{})
	for i := range 60 {
		if res, _ := s.call(http.MethodGet, "staff.api/list", ""); res.StatusCode != http.StatusOK {
			t.Fatalf("call %d: %s", i+1, res.Status)
		} else if i == 0 && !slices.Equal(remaining(res), []string{"59", "4999", "9999"}) {
			t.Errorf("after one call there remain %v", remaining(res))
		}
	}
	advance(t, s.w, 38*time.Second)
	res, body := s.call(http.MethodGet, "staff.api/list", "")
	expectLimit(t, res, body, "minute", "22")
	if !slices.Equal(remaining(res), []string{"0", "4940", "9940"}) {
		t.Errorf("after sixty there remain %v", remaining(res))
	}
	advance(t, s.w, 22*time.Second)
	if res, _ := s.call(http.MethodGet, "staff.api/list", ""); res.Header.Get("Date") != clock().Add(time.Minute).Format(http.TimeFormat) {
		t.Errorf("the answer is dated %s", res.Header.Get("Date"))
	} else if !slices.Equal(remaining(res), []string{"59", "4939", "9999"}) {
		t.Errorf("in the next minute there remain %v", remaining(res))
	}
}

func TestTheDayAndTheAppHaveLimitsToo(t *testing.T) {
	s := practice(t, sim.Config{})
	setting(t, s.w, map[string]any{"per_day": 2, "app_per_minute": 3})
	other := connect(t, s.w, sim.Consultant, sim.SecondPracticeName)
	for range 2 {
		s.ask(http.MethodGet, "staff.api/list", "")
	}
	res, body := s.call(http.MethodGet, "staff.api/list", "")
	expectLimit(t, res, body, "day", "86400")
	other.ask(http.MethodGet, "staff.api/list", "")
	res, body = other.call(http.MethodGet, "staff.api/list", "")
	expectLimit(t, res, body, "appminute", "60")
}

func TestTheClockFactorSpeedsWindowsUpAndNothingElse(t *testing.T) {
	s := practice(t, sim.Config{ClockFactor: 60})
	setting(t, s.w, map[string]any{"per_minute": 1})
	s.ask(http.MethodGet, "staff.api/list", "")
	res, body := s.call(http.MethodGet, "staff.api/list", "")
	expectLimit(t, res, body, "minute", "1")
	advance(t, s.w, time.Second)
	s.ask(http.MethodGet, "staff.api/list", "")
	if s.token.Expires != 1800 {
		t.Errorf("tokens live %d s", s.token.Expires)
	}
	advance(t, s.w, 29*time.Minute)
	s.ask(http.MethodGet, "staff.api/list", "")
}

func TestFiveCallsAtOnce(t *testing.T) {
	s := practice(t, sim.Config{})
	r := s.w.Remote()
	id, err := r.Fault(t.Context(), world.Fault{Kind: faults.Frozen, Path: "*/staff.api/list"})
	if err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range 5 {
		req := s.request(http.MethodGet, practiceAPI+"staff.api/list", "")
		calls.Go(func() {
			res, err := http.DefaultClient.Do(req)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Errorf("a call that waited: %v %v", res, err)
				return
			}
			res.Body.Close()
		})
	}
	until(t, func() bool { return peak(t, r, s.tenant) == 5 })
	res, body := s.call(http.MethodGet, "client.api/paged-list", "")
	expectLimit(t, res, body, "concurrent", "")
	if err := r.RemoveFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
	s.ask(http.MethodGet, "client.api/paged-list", "")
}

// until waits for a condition that something in progress brings about.
func until(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for limit := time.NewTimer(time.Minute); !done(); {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("waited a minute in vain")
		}
	}
}

func peak(t *testing.T, r *remote.Client, tenant string) int {
	t.Helper()
	calls, err := r.Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return calls[tenant].Peak
}

func TestCallsAreCounted(t *testing.T) {
	s := practice(t, sim.Config{})
	setting(t, s.w, map[string]any{"per_minute": 3})
	uuid := s.ask(http.MethodGet, "client.api/list", "").Clients[0].UUID
	s.ask(http.MethodGet, "client.api/get/"+uuid, "")
	s.ask(http.MethodGet, "client.api/get/"+uuid, "")
	s.call(http.MethodGet, "client.api/get/"+uuid, "")
	calls, err := s.w.Remote().Calls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := calls[s.tenant]
	if got.Calls != 4 || got.Refused != 1 || got.Peak != 1 || got.Endpoints["GET client.api/get/{id}"].Calls != 3 || got.Endpoints["GET client.api/get/{id}"].Refused != 1 {
		t.Errorf("counted %+v", got)
	}
	if err := s.w.Remote().Do(t.Context(), http.MethodDelete, "/control/calls", nil, nil); err != nil {
		t.Fatal(err)
	}
	if calls, err := s.w.Remote().Calls(t.Context()); err != nil || len(calls) != 0 {
		t.Errorf("after a reset: %v %v", calls, err)
	}
}

func TestTheGatewayRefusesInTheRecordedShape(t *testing.T) {
	s := practice(t, sim.Config{})
	junior := connect(t, s.w, sim.Junior, sim.PracticeName)
	plain := func(change func(*http.Request)) *http.Request {
		req := s.request(http.MethodGet, practiceAPI+"staff.api/list", "")
		change(req)
		return req
	}
	const shape = `{"Type":null,"Title":"%t","Status":%s,"Detail":"%d","Instance":"%i","Extensions":{}}`
	for name, try := range map[string]struct {
		req            *http.Request
		status, detail string
	}{
		"no token":      {plain(func(r *http.Request) { r.Header.Del("Authorization") }), "401", "AuthenticationUnsuccessful"},
		"bad token":     {plain(func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"x") }), "401", "AuthenticationUnsuccessful"},
		"id_token":      {plain(func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+s.token.ID) }), "401", "AuthenticationUnsuccessful"},
		"no tenant":     {plain(func(r *http.Request) { r.Header.Del("xero-tenant-id") }), "403", "AuthenticationUnsuccessful"},
		"wrong tenant":  {plain(func(r *http.Request) { r.Header.Set("xero-tenant-id", world.NewID()) }), "403", "AuthenticationUnsuccessful"},
		"no privilege":  {junior.request(http.MethodGet, practiceAPI+"staff.api/list", ""), "403", "AuthorizationUnsuccessful"},
		"scope":         {s.request(http.MethodPost, practiceAPI+"job.api/delete", ""), "401", "AuthorizationUnsuccessful"},
		"scope to read": {s.request(http.MethodPost, practiceAPI+"staff.api/add", ""), "401", "AuthorizationUnsuccessful"},
	} {
		res, body := send(t, try.req)
		title := map[string]string{"401": "Unauthorized", "403": "Forbidden"}[try.status]
		want := strings.NewReplacer("%t", title, "%s", try.status, "%d", try.detail, "%i", res.Header.Get("Xero-Correlation-Id")).Replace(shape)
		if string(body) != want || !strings.HasPrefix(res.Status, try.status) {
			t.Errorf("%s: %s %s\nwant %s", name, res.Status, body, want)
		}
		if (res.Header.Get("WWW-Authenticate") == "Bearer error=invalid_token") != (try.status == "401") {
			t.Errorf("%s: WWW-Authenticate %q", name, res.Header.Get("WWW-Authenticate"))
		}
		if try.status == "403" && !slices.Equal(remaining(res)[:2], []string{"", ""}) {
			t.Errorf("%s: a 403 tells %v of the tenant", name, remaining(res))
		}
	}
	advance(t, s.w, 31*time.Minute)
	if _, body := s.call(http.MethodGet, "staff.api/list", ""); !strings.Contains(string(body), `"Detail":"TokenExpired: token expired at 03/02/2026 10:00:00"`) {
		t.Errorf("an expired token: %s", body)
	}
}
