// Package rest calls a running suite as a frontend does: REST and nothing else.
package rest

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

// Client is one person's browser or program. It is safe for concurrent use once Token is set.
type Client struct {
	// Base is the suite's address.
	Base string
	// Token is the session token, empty before the sign-in.
	Token string
	// HTTP keeps cookies and follows no redirect.
	HTTP *http.Client
}

// New makes a client that nobody has signed in with.
func New(base string) *Client {
	jar, _ := cookiejar.New(nil) // has no way to fail without options
	return &Client{Base: base, HTTP: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}}
}

// Problem is an error answer (RFC 9457).
type Problem struct {
	Status   int               `json:"status"`
	Title    string            `json:"title"`
	Code     string            `json:"code"`
	Reason   string            `json:"reason"`
	Detail   string            `json:"detail"`
	TraceID  string            `json:"trace_id"`
	Metadata map[string]string `json:"metadata"`
	Fields   []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"fields"`
	// Media is the content type it came with.
	Media string `json:"-"`
}

// Error implements error.
func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s %v", p.Status, p.Reason, p.Detail, p.Fields)
}

// ProblemOf is the error answer in err, nil when there is none.
func ProblemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}

// Reason is the reason of an error answer without its enum's prefix.
func Reason(err error) string {
	if p := ProblemOf(err); p != nil {
		return strings.TrimPrefix(p.Reason, "ERROR_REASON_")
	}
	return ""
}

// Call makes one JSON call; in and out may be nil.
func (c *Client) Call(ctx context.Context, method, path string, in, out proto.Message) error {
	var body []byte
	if in != nil {
		b, err := protojson.Marshal(in)
		if err != nil {
			return err
		}
		body = b
	}
	answer, err := c.Send(ctx, method, path, body, "application/json")
	if err != nil || out == nil {
		return err
	}
	if err := protojson.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Send makes one call with a body and answers the body that came back.
func (c *Client) Send(ctx context.Context, method, path string, body []byte, media string) ([]byte, error) {
	resp, err := c.Do(ctx, method, path, bytes.NewReader(body), media, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// Do makes one call and leaves the body to the caller; an error answer becomes a *Problem.
func (c *Client) Do(ctx context.Context, method, path string, body io.Reader, media string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.Base+path, body)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := &Problem{Status: resp.StatusCode, Media: resp.Header.Get("Content-Type")}
	b, _ := io.ReadAll(resp.Body)
	if json.Unmarshal(b, p) != nil {
		p.Detail = string(b)
	}
	return nil, fmt.Errorf("%s %s: %w", method, strings.SplitN(path, "?", 2)[0], p)
}

// Upload files a document in one call and answers it.
func (c *Client) Upload(ctx context.Context, folder, query string, content []byte, out *documentsv1.Document) error {
	b, err := c.Send(ctx, http.MethodPost, "/v1/"+folder+"/documents:upload?"+query, content, "application/octet-stream")
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

// Download reads a document's bytes.
func (c *Client) Download(ctx context.Context, document string) ([]byte, error) {
	return c.Send(ctx, http.MethodGet, "/v1/"+document+"/content", nil, "")
}

// Watch follows a run to its end and answers it; seen, when given, gets every state on the way. A stream that was cut is
// taken up again, since any part of the suite may be restarted under it.
func (c *Client) Watch(ctx context.Context, run string, seen func(*syncv1.Run)) (*syncv1.Run, error) {
	for {
		last, ended, err := c.watchOnce(ctx, run, seen)
		if ended {
			return last, nil
		}
		if p := ProblemOf(err); p != nil && p.Status < 500 {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return last, errors.Join(ctx.Err(), err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Client) watchOnce(ctx context.Context, run string, seen func(*syncv1.Run)) (last *syncv1.Run, ended bool, err error) {
	resp, err := c.Do(ctx, http.MethodGet, "/v1/"+run+":watch", http.NoBody, "", nil)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	event := ""
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
			if seen != nil {
				seen(last)
			}
		case key == "data" && event == "end":
			return last, true, nil
		}
	}
	return last, false, lines.Err()
}
