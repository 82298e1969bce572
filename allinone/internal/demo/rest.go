package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// rest calls the suite as a frontend would: REST and nothing else.
type rest struct {
	base  string
	token string
	http  *http.Client
}

// problem is an error answer of the suite.
type problem struct {
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Detail string `json:"detail"`
	Fields []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"fields"`
}

func (p *problem) Error() string {
	s := fmt.Sprintf("%d %s: %s", p.Status, p.Reason, p.Detail)
	for _, f := range p.Fields {
		s += fmt.Sprintf("; %s: %s", f.Field, f.Detail)
	}
	return s
}

// reason is the machine-readable reason of an error answer, without the prefix of its enum.
func reason(err error) string {
	var p *problem
	if errors.As(err, &p) {
		return strings.TrimPrefix(p.Reason, "ERROR_REASON_")
	}
	return ""
}

func newREST(base string) *rest {
	jar, err := cookiejar.New(nil)
	if err != nil {
		// The jar has no options that could fail; a client without one would lose the browser binding silently.
		panic(err)
	}
	return &rest{base: base, http: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// call makes one JSON call. in may be nil.
func (r *rest) call(ctx context.Context, method, path string, in, out proto.Message) error {
	var body []byte
	if in != nil {
		b, err := protojson.Marshal(in)
		if err != nil {
			return err
		}
		body = b
	}
	resp, err := r.send(ctx, method, path, bytes.NewReader(body), int64(len(body)), "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// send makes one call; an error answer becomes a *problem.
func (r *rest) send(ctx context.Context, method, path string, body io.Reader, size int64, media string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base+path, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	if size > 0 {
		req.Header.Set("Content-Type", media)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 400 {
		defer resp.Body.Close()
		p := &problem{Status: resp.StatusCode}
		if derr := json.NewDecoder(resp.Body).Decode(p); derr != nil {
			p.Detail = "an answer that is no problem document"
		}
		return nil, fmt.Errorf("%s %s: %w", method, strings.SplitN(path, "?", 2)[0], p)
	}
	return resp, nil
}

// upload files a document and says which it became.
func (r *rest) upload(ctx context.Context, folder, name string, content []byte, out *documentsv1.Document) error {
	resp, err := r.send(ctx, http.MethodPost, "/v1/"+folder+"/documents:upload?displayName="+name,
		bytes.NewReader(content), int64(len(content)), "application/pdf")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	filed := new(documentsv1.GetDocumentResponse)
	if err := protojson.Unmarshal(b, filed); err != nil {
		return err
	}
	proto.Merge(out, filed.GetDocument())
	return nil
}

// download reads a document's bytes.
func (r *rest) download(ctx context.Context, document string) ([]byte, error) {
	resp, err := r.send(ctx, http.MethodGet, "/v1/"+document+"/content", http.NoBody, 0, "")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// watch calls fn with the run whenever it moved, and answers it as it ended. A stream that was cut is taken up again.
func (r *rest) watch(ctx context.Context, run string, fn func(*syncv1.Run)) (*syncv1.Run, error) {
	for {
		last, ended, err := r.watchOnce(ctx, run, fn)
		if ended || (err != nil && ctx.Err() != nil) || reason(err) != "" {
			return last, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second): // the far side restarts in about that time
		}
	}
}

func (r *rest) watchOnce(ctx context.Context, run string, fn func(*syncv1.Run)) (last *syncv1.Run, ended bool, err error) {
	resp, err := r.send(ctx, http.MethodGet, "/v1/"+run+":watch", http.NoBody, 0, "")
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var event string
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case key == "event":
			event = value
		case key == "data" && event == "run":
			last = new(syncv1.Run)
			if err := protojson.Unmarshal([]byte(value), last); err != nil {
				return nil, false, err
			}
			fn(last)
		case key == "data" && event == "end":
			return last, true, nil
		case key == "data" && event == "error":
			return last, false, fmt.Errorf("watching %s: %s", run, value)
		}
	}
	return last, false, lines.Err()
}
