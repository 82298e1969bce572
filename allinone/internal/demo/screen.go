package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// screen shows people what goes on: a moving bar on a terminal, plain lines elsewhere.
type screen struct {
	out      io.Writer
	terminal bool
	last     string
	seen     *syncv1.Run
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok {
		if st, err := f.Stat(); err == nil {
			s.terminal = st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
		}
	}
	return s
}

func (s *screen) say(format string, args ...any) {
	s.endBar()
	fmt.Fprintf(s.out, format+"\n", args...)
}

func (s *screen) step(n, of int, what string) { s.say("\n[%d/%d] %s", n, of, what) }

const barWidth = 30

// progress shows a run as it moves. Elsewhere than on a terminal only a new phase is worth a line.
func (s *screen) progress(run *syncv1.Run) {
	phase := strings.ToLower(strings.TrimPrefix(run.GetPhase().String(), "RUN_PHASE_"))
	if phase == "unspecified" {
		phase = strings.ToLower(strings.TrimPrefix(run.GetState().String(), "RUN_STATE_"))
	}
	if !s.terminal {
		s.line(phase, run)
		return
	}
	filled := 0
	if run.GetTotal() > 0 {
		filled = int(min(run.GetDone(), run.GetTotal()) * barWidth / run.GetTotal())
	}
	eta := ""
	if t := run.GetEta(); t != nil {
		eta = ", ready at " + t.AsTime().Local().Format(time.TimeOnly)
	}
	s.last = phase
	fmt.Fprintf(s.out, "\r\x1b[K      %-8s [%s%s] %s, %s%s", phase, strings.Repeat("█", filled),
		strings.Repeat("·", barWidth-filled), far(run), count(run.GetCalls(), "call"), eta)
}

// line says of each phase, once it has ended, how far it came.
func (s *screen) line(phase string, run *syncv1.Run) {
	if s.last != "" && phase != s.last {
		said := fmt.Sprintf("      %-8s %s, %s %s", s.last, far(s.seen), count(s.seen.GetCalls(), "call"), s.seen.GetMessage())
		fmt.Fprintln(s.out, strings.TrimRight(said, " "))
	}
	s.last, s.seen = phase, run
}

// far says how far a run is, and of how much where that is known.
func far(run *syncv1.Run) string {
	if run.GetTotal() <= 0 {
		return count(run.GetDone(), "record")
	}
	return fmt.Sprintf("%d of %s", run.GetDone(), count(run.GetTotal(), "record"))
}

// endBar leaves the line of a bar.
func (s *screen) endBar() {
	if s.terminal && s.last != "" {
		fmt.Fprintln(s.out)
	}
	s.last, s.seen = "", nil
}

// table prints rows under a title, in two aligned columns.
func (s *screen) table(title string, rows []row) {
	width := 0
	for _, r := range rows {
		width = max(width, utf8.RuneCountInString(r.What))
	}
	s.say("\n%s\n%s", title, strings.Repeat("─", max(utf8.RuneCountInString(title), width+20)))
	for _, r := range rows {
		s.say("%s%s  %s", r.What, strings.Repeat(" ", width-utf8.RuneCountInString(r.What)), r.Value)
	}
}
