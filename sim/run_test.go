package sim_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/faults"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/sim/world"
)

// asProgram makes this test binary behave as the program, so that it can be killed.
const asProgram = "SIM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(sim.Run(context.Background(), os.Args[1:], time.Now, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestWrongFlagsAreToldInWordsWithExit2(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "world")
	empty, header := file(t, "empty.csv", ""), file(t, "header.csv", "name,code\n")
	for want, args := range map[string][]string{
		"-http-addr: \"nowhere\" is not host:port":      {"-http-addr", "nowhere"},
		"-smtp-addr: \"0.0.0.0:25\" is not a loopback":  {"-smtp-addr", "0.0.0.0:25"},
		"-clients: must be 1 to":                        {"-clients", "-3"},
		"-smtp-addr: \"127.0.0.1:99999\" has no port":   {"-smtp-addr", "127.0.0.1:99999"},
		"-clock-factor: must be 1 to":                   {"-clock-factor", "0.5"},
		"-practice: stat /nowhere":                      {"-practice", "/nowhere"},
		"-practice: " + empty + ": the header cannot":   {"-practice", empty},
		"-practice: " + header + ": there is no client": {"-practice", header},
		"flags only, not \"extra\"":                     {"extra"},
		"flag provided but not defined":                 {"-colour", "red"},
		"invalid value \"many\"":                        {"-clients", "many"},
	} {
		var out, errs bytes.Buffer
		code := sim.Run(t.Context(), append([]string{"-dir", dir}, args...), clock, &out, &errs)
		if code != 2 || !strings.Contains(errs.String(), want) || out.Len() > 0 || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%v: exit %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a wrong start left something behind")
	}
}

// file writes a file and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAllWrongFlagsAreToldAtOnce(t *testing.T) {
	var out, errs bytes.Buffer
	code := sim.Run(t.Context(), []string{"-clients", "0", "-colour", "red", "-clock-factor", "-1", "---x", "-seed", "many", "-http-addr", "0.0.0.0:1",
		"extra", "-practice", "/nowhere", "-dir"}, clock, &out, &errs)
	want := `concord-sim: flag provided but not defined: -colour
concord-sim: bad flag syntax: ---x
concord-sim: invalid value "many" for flag -seed: parse error
concord-sim: takes flags only, not "extra"
concord-sim: flag needs an argument: -dir
concord-sim: -http-addr: "0.0.0.0:1" is not a loopback address; the world can be changed by whoever reaches it (allow-remote permits this)
concord-sim: -clients: must be 1 to 200000
concord-sim: -clock-factor: must be 1 to 10000
concord-sim: -practice: stat /nowhere: no such file or directory
`
	if code != 2 || errs.String() != want || out.Len() > 0 {
		t.Errorf("exit %d, %s%s", code, out.String(), errs.String())
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	var out, errs bytes.Buffer
	if code := sim.Run(t.Context(), []string{"-h"}, clock, &out, &errs); code != 0 || !strings.Contains(out.String(), "-clock-factor") || errs.Len() > 0 {
		t.Errorf("exit %d, %q, %q", code, out.String(), errs.String())
	}
}

func TestStartFailuresAreToldInWords(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	locked := t.TempDir()
	start(t, sim.Config{Dir: locked})
	for want, args := range map[string][]string{
		"listen for HTTP":  {"-http-addr", taken.Addr().String()},
		"listen for SMTP":  {"-smtp-addr", taken.Addr().String(), "-http-addr", "127.0.0.1:0"},
		"create the state": {"-dir", filepath.Join(file(t, "file", ""), "world")},
		"another process":  {"-dir", locked},
	} {
		var out, errs bytes.Buffer
		code := sim.Run(t.Context(), append([]string{"-http-addr", "127.0.0.1:0", "-smtp-addr", "127.0.0.1:0", "-clients", "3"}, args...), clock, &out, &errs)
		if code != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%v: exit %d, %q, want %s", args, code, errs.String(), want)
		}
	}
}

func TestTheProgramSaysWhereItIsAndEndsWhenAsked(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	out, lines := io.Pipe()
	code := make(chan int)
	go func() {
		code <- sim.Run(ctx, []string{"-http-addr", "127.0.0.1:0", "-smtp-addr", "127.0.0.1:0", "-clients", "5"}, clock, lines, io.Discard)
		lines.Close()
	}()
	go func() {
		address(t, out)
		stop()
		io.Copy(io.Discard, out)
	}()
	if got := receive(t, code); got != 0 {
		t.Errorf("exit %d", got)
	}
}

var announced = regexp.MustCompile(`Simulated world at (http://\S+), mail at (\S+)`)

// address reads the program's output up to its address.
func address(t *testing.T, out io.Reader) string {
	var text []byte
	buf := make([]byte, 512)
	for {
		n, err := out.Read(buf)
		text = append(text, buf[:n]...)
		if found := announced.FindSubmatch(text); found != nil {
			return string(found[1])
		}
		if err != nil {
			t.Errorf("no address in %s", text)
			return ""
		}
	}
}

// program runs the world as a process of its own and returns its URL.
func program(t *testing.T, dir string) (string, *exec.Cmd) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-dir", dir, "-http-addr", "127.0.0.1:0", "-smtp-addr", "127.0.0.1:0", "-clients", "30")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url := address(t, out)
	go io.Copy(io.Discard, out)
	return url, cmd
}

// TestAKilledWorldFindsEverythingItAnsweredFor writes from several sides, kills the process in the
// middle, three times over, and looks for each write that was answered.
func TestAKilledWorldFindsEverythingItAnsweredFor(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	answered := map[string]bool{}
	for round := range 3 {
		url, cmd := program(t, dir)
		var writes atomic.Int32
		var writers sync.WaitGroup
		for side := range 4 {
			writers.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("client %d of side %d in round %d", i, side, round)
					if remote.New(url).Do(t.Context(), http.MethodPost, "/control/clients/add", object{"fields": object{"Name": name}}, nil) != nil {
						return // killed
					}
					mu.Lock()
					answered[name] = true
					mu.Unlock()
					writes.Add(1)
				}
			})
		}
		until(t, func() bool { return writes.Load() >= 40 })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
		writers.Wait()
	}
	w := start(t, sim.Config{Dir: dir})
	list, err := w.Remote().Clients(t.Context(), "", "client ", 100_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		delete(answered, c.Name)
	}
	if len(answered) > 0 {
		t.Errorf("%d answered writes are gone: %v", len(answered), answered)
	}
}

func TestARestartForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	w := start(t, sim.Config{Dir: dir})
	s := connect(t, w, sim.Owner, sim.PracticeName)
	setting(t, w, map[string]any{"per_minute": 3})
	c := s.ask(http.MethodPost, "client.api/add", "<Client><Name>Kept</Name></Client>").Client
	sms(t, w, pin(mobile))
	inject(t, w, world.Fault{Kind: faults.Status, Status: 503, Path: "*/client.api/search", Count: 2})
	if res, _ := s.call(http.MethodGet, "client.api/search?query=x", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("the fault: %s", res.Status)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	s.w = start(t, sim.Config{Dir: dir, Clients: 5, Seed: 99}) // size and seed no longer matter
	if res, _ := s.call(http.MethodGet, "client.api/search?query=x", ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the second of two strikes: %s", res.Status)
	}
	res, body := s.call(http.MethodGet, "client.api/get/"+c.UUID, "")
	expectLimit(t, res, body, "minute", "60")
	advance(t, s.w, time.Minute)
	if got := s.ask(http.MethodGet, "client.api/get/"+c.UUID, "").Client; got.Name != "Kept" {
		t.Errorf("the client is %+v", got)
	}
	if token, status := tokenCall(t, s.w, refresh(s.token.Refresh)); status != http.StatusOK {
		t.Errorf("the refresh token: %+v", token)
	}
	if list := inbox(t, s.w, mobile, ""); len(list) != 1 {
		t.Errorf("the inbox has %+v", list)
	}
	state, err := s.w.Remote().State(t.Context())
	if err != nil || len(state.Tenants) != 4 || state.Tenants[3].Clients != 61 {
		t.Errorf("tenants are %+v (%v)", state.Tenants, err)
	}
}

func TestAPracticeFromAFileIsServed(t *testing.T) {
	csv := filepath.Join(t.TempDir(), "Village Practice.csv")
	text := "name,code,contacts,group,archived\nOne,A1,Pat <pat@example.com>,Family,\nTwo,,Pat <pat@example.com>; Lee,Family,\nThree,,,,yes\n"
	if err := os.WriteFile(csv, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := connect(t, start(t, sim.Config{Practice: csv}), sim.Owner, "Village Practice")
	list := s.ask(http.MethodGet, "client.api/list?detailed=true", "").Clients
	if len(list) != 3 || list[0].Code != "A1" || list[1].Archived != "Yes" || len(list[2].Contacts) != 2 ||
		list[0].Contacts[0].UUID != list[2].Contacts[1].UUID || list[0].Groups[0].UUID != list[2].Groups[0].UUID {
		t.Errorf("the practice is %+v", list)
	}
	if staff := s.ask(http.MethodGet, "staff.api/list", "").Staff; len(staff) != 2 {
		t.Errorf("its staff are %+v", staff)
	}
}

func TestAWorldWithoutAFolderStartsAnew(t *testing.T) {
	w := start(t, sim.Config{})
	do(t, w, "/control/clients/add", object{"fields": object{"Name": "Forgotten"}}, nil)
	w.Close()
	list, err := start(t, sim.Config{}).Remote().Clients(t.Context(), "", "Forgotten", 10)
	if err != nil || len(list) > 0 {
		t.Errorf("%v %v", list, err)
	}
}

func TestConfigMistakesComeTogether(t *testing.T) {
	_, err := sim.Start(t.Context(), sim.Config{HTTPAddr: "x", Clients: -1, Apps: []sim.App{{Name: "N"}}})
	for _, want := range []string{"http-addr", "clients", "apps: app 1"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not speak of %s", err, want)
		}
	}
	w, err := sim.Start(t.Context(), sim.Config{HTTPAddr: "0.0.0.0:0", AllowRemote: true, Clients: 3, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}
