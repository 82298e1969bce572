package sim_test

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/world"
)

func inject(t *testing.T, w *sim.World, f world.Fault) string {
	t.Helper()
	id, err := w.Remote().Fault(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// attempt sends a request that may end without an answer.
func attempt(req *http.Request) (*http.Response, []byte, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no silent retry on another connection
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

func TestStatusFaultsAnswerLikeTheGateway(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.Status, Path: "*/client.api/paged-list", Status: 503, After: 1, Count: 2})
	inject(t, s.w, world.Fault{Kind: faults.Status, Path: "*/client.api/paged-list", Status: 429, Retry: 7, Limit: "day", Count: 1})
	var got []int
	for range 5 {
		res, body := s.call(http.MethodGet, "client.api/paged-list", "")
		got = append(got, res.StatusCode)
		switch res.StatusCode {
		case 503:
			if !strings.Contains(string(body), `"Title":"Service Unavailable","Status":503`) {
				t.Errorf("503 says %s", body)
			}
		case 429:
			expectLimit(t, res, body, "day", "7")
		}
	}
	// The first passes the older fault and meets the younger.
	if want := []int{429, 503, 503, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("answers are %v, want %v", got, want)
	}
}

func TestFaultsStrikeWhatTheyName(t *testing.T) {
	s := practice(t, sim.Config{})
	other := connect(t, s.w, sim.Consultant, sim.SecondPracticeName)
	inject(t, s.w, world.Fault{Kind: faults.Status, Status: 500, Path: "*/client.api/*", Method: "get", Query: "detailed=true", Tenant: s.tenant})
	for _, try := range []struct {
		s            session
		method, path string
		struck       bool
	}{
		{s, http.MethodGet, "client.api/list?detailed=true", true},
		{s, http.MethodGet, "client.api/list", false},
		{s, http.MethodGet, "staff.api/list?detailed=true", false},
		{s, http.MethodPost, "client.api/add?detailed=true", false},
		{other, http.MethodGet, "client.api/list?detailed=true", false},
	} {
		if res, _ := try.s.call(try.method, try.path, "<Client><Name>N</Name></Client>"); (res.StatusCode == 500) != try.struck {
			t.Errorf("%s %s: %s", try.method, try.path, res.Status)
		}
	}
}

func TestACutBodyPromisesMoreThanItBrings(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.Cut, Path: "*/client.api/list", Bytes: 1000, Count: 1})
	res, body, err := attempt(s.request(http.MethodGet, practiceAPI+"client.api/list", ""))
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 1000 || res.ContentLength <= 1000 {
		t.Errorf("%v, %d bytes of %d", err, len(body), res.ContentLength)
	}
}

func TestHalfADocumentLooksComplete(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.HalfXML, Path: "*/client.api/paged-list", Count: 1})
	res, body, err := attempt(s.request(http.MethodGet, practiceAPI+"client.api/paged-list", ""))
	if err != nil || res.StatusCode != http.StatusOK || xml.Unmarshal(body, new(answer)) == nil {
		t.Errorf("%v %s: %.100s", err, res.Status, body)
	}
}

func TestApplyThenDropDoesItAndSaysNothing(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.ApplyThenDrop, Path: "*/client.api/add", Count: 1})
	add := "<Client><Name>Unheard Of</Name></Client>"
	if _, _, err := attempt(s.request(http.MethodPost, practiceAPI+"client.api/add", add)); err == nil {
		t.Error("there was an answer")
	}
	if got := s.ask(http.MethodGet, "client.api/search?query=unheard", "").Clients; len(got) != 1 {
		t.Errorf("%d clients were made", len(got))
	}
	inject(t, s.w, world.Fault{Kind: faults.Drop, Path: "*/client.api/add", Count: 1})
	if _, _, err := attempt(s.request(http.MethodPost, practiceAPI+"client.api/add", strings.Replace(add, "Unheard", "Undone", 1))); err == nil {
		t.Error("there was an answer")
	}
	if got := s.ask(http.MethodGet, "client.api/search?query=undone", "").Clients; len(got) != 0 {
		t.Errorf("%d clients were made", len(got))
	}
}

func TestALostRefreshCanBeRepeated(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.ApplyThenDrop, Path: "/connect/token", Count: 1})
	req := request(t, http.MethodPost, s.w.URL()+"/connect/token", strings.NewReader(refresh(s.token.Refresh).Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(sim.ClientID, sim.ClientSecret)
	if _, _, err := attempt(req); err == nil {
		t.Fatal("there was an answer")
	}
	if got, status := tokenCall(t, s.w, refresh(s.token.Refresh)); status != http.StatusOK {
		t.Errorf("once more: %d %+v", status, got)
	}
	setting(t, s.w, map[string]any{"refresh_grace": "0s"})
	if got, _ := tokenCall(t, s.w, refresh(s.token.Refresh)); got.Error != "invalid_grant" {
		t.Errorf("without a grace: %+v", got)
	}
}

func TestFrozenRequestsWaitForTheirRelease(t *testing.T) {
	s := practice(t, sim.Config{})
	id := inject(t, s.w, world.Fault{Kind: faults.Frozen, Path: "*/staff.api/list"})
	done := make(chan int)
	req := s.request(http.MethodGet, practiceAPI+"staff.api/list", "")
	go func() {
		res, _, err := attempt(req)
		if err != nil {
			t.Error(err)
		}
		done <- res.StatusCode
	}()
	until(t, func() bool { return seen(t, s.w) == 1 })
	select {
	case <-done:
		t.Fatal("it did not wait")
	default:
	}
	if err := s.w.Remote().RemoveFault(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if status := receive(t, done); status != http.StatusOK {
		t.Errorf("released it answers %d", status)
	}
}

// seen counts the requests that met the first fault.
func seen(t *testing.T, w *sim.World) int {
	t.Helper()
	var list struct {
		Faults []world.Fault `json:"faults"`
	}
	if err := w.Remote().Do(t.Context(), http.MethodGet, "/control/faults", nil, &list); err != nil {
		t.Fatal(err)
	}
	return list.Faults[0].Seen
}

func TestClosingTheWorldLetsFrozenRequestsGo(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.Frozen, Path: "*/staff.api/list"})
	failed := make(chan error)
	req := s.request(http.MethodGet, practiceAPI+"staff.api/list", "")
	go func() {
		_, _, err := attempt(req)
		failed <- err
	}()
	until(t, func() bool { return seen(t, s.w) == 1 })
	if err := s.w.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, failed); err == nil {
		t.Error("a frozen request was answered by the end of the world")
	}
}

func TestSlowAnswersComeLate(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.Slow, Path: "*/staff.api/list", Delay: world.Duration(50 * time.Millisecond), Count: 1})
	began := time.Now()
	s.ask(http.MethodGet, "staff.api/list", "")
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestAnEmptyListing(t *testing.T) {
	s := practice(t, sim.Config{})
	inject(t, s.w, world.Fault{Kind: faults.Empty, Path: "*api/*"})
	for _, path := range []string{"client.api/list", "client.api/paged-list", "client.api/contacts", "client.api/search?query=", "staff.api/list", "clientgroup.api/list"} {
		if a := s.ask(http.MethodGet, path, ""); a.Status != "OK" || len(a.Clients)+len(a.People)+len(a.Staff)+len(a.Groups) > 0 || a.Next != "" {
			t.Errorf("%s: %+v", path, a)
		}
	}
}

func TestAnotherPracticesData(t *testing.T) {
	s := practice(t, sim.Config{})
	other := connect(t, s.w, sim.Consultant, sim.SecondPracticeName)
	inject(t, s.w, world.Fault{Kind: faults.WrongTenant, Path: "*/client.api/list", Tenant: s.tenant, Count: 1})
	wrong, right := s.ask(http.MethodGet, "client.api/list", ""), other.ask(http.MethodGet, "client.api/list", "")
	if len(wrong.Clients) != 42 || wrong.Clients[0].UUID != right.Clients[0].UUID {
		t.Errorf("%d clients, want the 42 of the other practice", len(wrong.Clients))
	}
}

func TestPagesThatDrift(t *testing.T) {
	for order, want := range map[string]struct{ distinct, rows int }{
		"":        {55, 55}, // five are never seen
		"repeat":  {55, 60}, // five are seen twice and five others never
		"reverse": {40, 60}, // the last page shows the first once more
		"insert":  {60, 60}, // the client that came meanwhile is never seen
	} {
		s := practice(t, sim.Config{})
		inject(t, s.w, world.Fault{Kind: faults.Drift, Order: order, Path: "*/client.api/paged-list", Query: "pageToken", After: 1, Count: 1})
		seen, rows := map[string]bool{}, 0
		for _, page := range s.pages("client.api/paged-list?pageSize=20") {
			for _, c := range page.Clients {
				seen[c.UUID] = true
				rows++
			}
		}
		if len(seen) != want.distinct || rows != want.rows {
			t.Errorf("drift %q: %d rows of %d clients, want %d of %d", order, rows, len(seen), want.rows, want.distinct)
		}
		if active := len(s.pages("client.api/paged-list?pageSize=500")[0].Clients); (active == 61) != (order == "insert") {
			t.Errorf("drift %q leaves %d clients", order, active)
		}
	}
}

func TestBadFaultsAreRefusedInWords(t *testing.T) {
	w := start(t, sim.Config{})
	for want, f := range map[string]world.Fault{
		`kind \"flood\" is unknown`: {Kind: "flood", Path: "*"},
		"path is missing":           {Kind: faults.Drop},
		"status must be 400 to 599": {Kind: faults.Status, Path: "*", Status: 200},
		"delay must be positive":    {Kind: faults.Slow, Path: "*"},
		"order must be":             {Kind: faults.Drift, Path: "*", Order: "sideways"},
		"must not be negative":      {Kind: faults.Drop, Path: "*", After: -1},
	} {
		if _, err := w.Remote().Fault(t.Context(), f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
