package connect

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
)

// script closes the window. The page that opened it polls the attempt; the message only saves it the wait.
const script = `if(window.opener){window.opener.postMessage("concord-connect"+location.hash,location.origin)}` +
	`document.getElementById("t").textContent=location.hash==="#ok"?` +
	`"Connected. You can close this window.":"The connection was not made. Close this window and try again."` +
	`;window.close()`

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Concord</title>` +
	`<p id="t">You can close this window.</p><script>` + script + `</script></html>`

// policy allows this one script and nothing else.
var policy = func() string {
	sum := sha256.Sum256([]byte(script))
	return "default-src 'none'; frame-ancestors 'none'; script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

// ServeDone answers the page that closes the window.
func ServeDone(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	_, _ = w.Write([]byte(page))
}
