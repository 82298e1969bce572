package stream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/concord-suite/concord/gateway/internal/problem"
	"github.com/concord-suite/concord/gateway/internal/request"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// heartbeat keeps proxies from closing a quiet stream: common idle limits begin at 30 seconds.
const heartbeat = 15 * time.Second

// watch streams a run as server-sent events: "run" with the run as JSON whenever it moved, "end" when it ended.
func (h *Handlers) watch(w http.ResponseWriter, r *http.Request, name string) {
	if _, refused := request.Query(r); refused != nil {
		problem.Write(w, r, refused)
		return
	}
	runs, err := h.runs.WatchRun(r.Context(), &syncv1.WatchRunRequest{Name: name})
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	// The first answer decides between a problem document and a stream.
	first, err := runs.Recv()
	if err != nil {
		problem.WriteError(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	out := &events{w: w, c: http.NewResponseController(w)}
	if out.send("run", first) != nil {
		return
	}
	out.follow(runs)
}

type received struct {
	resp *syncv1.WatchRunResponse
	err  error
}

// receiver is the stream's receiving side.
type receiver interface {
	Recv() (*syncv1.WatchRunResponse, error)
}

type events struct {
	w http.ResponseWriter
	c *http.ResponseController
}

// follow passes the stream on until it or the reader ends. The receiving goroutine ends with the request's context.
func (e *events) follow(runs receiver) {
	in := make(chan received, 1)
	go func() {
		defer close(in)
		for {
			resp, err := runs.Recv()
			in <- received{resp, err}
			if err != nil {
				return
			}
		}
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	defer func() {
		// Let the receiver get rid of what it holds; it stops when the request's context does.
		go func() {
			for range in {
			}
		}()
	}()
	for {
		select {
		case got := <-in:
			if got.err != nil {
				e.end(got.err)
				return
			}
			if e.send("run", got.resp) != nil {
				return
			}
		case <-beat.C:
			if e.write(": still here\n\n") != nil {
				return
			}
		}
	}
}

func (e *events) send(event string, resp *syncv1.WatchRunResponse) error {
	b, err := protojson.MarshalOptions{EmitUnpopulated: true}.Marshal(resp.GetRun())
	if err != nil {
		return err
	}
	return e.write(fmt.Sprintf("event: %s\ndata: %s\n\n", event, b))
}

func (e *events) end(err error) {
	if errors.Is(err, io.EOF) {
		_ = e.write("event: end\ndata: {}\n\n")
		return
	}
	p := problem.FromError(err)
	_ = e.write(fmt.Sprintf("event: error\ndata: {\"reason\":%q,\"detail\":%q}\n\n", p.Reason, p.Detail))
}

func (e *events) write(s string) error {
	if _, err := io.WriteString(e.w, s); err != nil {
		return err
	}
	return e.c.Flush()
}
