package identity

import (
	"html/template"
	"net/http"

	"github.com/concord-suite/concord/sim/world"
)

// page is what the templates show.
type page struct {
	App     string
	Query   string // the authorization request, carried from form to form
	Form    string
	Wrong   string
	Person  *world.Person
	People  []*world.Person
	Tenants []offer
	Scope   []string
}

const frame = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Simulated identity</title>
<meta name="viewport" content="width=device-width"><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#123}
h1{font-size:1.3rem}label{display:block;padding:.5rem;border:1px solid #cde;border-radius:.5rem;margin:.4rem 0}
button{font:inherit;padding:.5rem 1.2rem;border-radius:.5rem;border:1px solid #067;background:#fff;color:#067}
button.go{background:#067;color:#fff}.note{color:#567;font-size:.9rem}.wrong{color:#a00}footer{margin-top:3rem}
</style></head><body>{{block "content" .}}{{end}}
<footer class="note">This is a simulated provider. Nobody here is a real person.</footer></body></html>`

func parsePage(content string) *template.Template {
	return template.Must(template.Must(template.New("page").Parse(frame)).New("content").Parse(content))
}

var loginPage = parsePage(`<h1>Sign in</h1><p>to continue to {{.App}}</p>
{{with .Wrong}}<p class="wrong">{{.}}</p>{{end}}
<form method="post" action="/identity/login"><input type="hidden" name="query" value="{{.Query}}">
{{range .People}}<label><input type="radio" name="person" value="{{.ID}}"> {{.Name}}<br><span class="note">{{.Email}}</span></label>{{end}}
<button class="go">Sign in</button></form>`)

var consentPage = parsePage(`<h1>{{.App}} wants access</h1><p>Signed in as {{.Person.Name}}</p>
{{with .Wrong}}<p class="wrong">{{.}}</p>{{end}}
<form method="post" action="/identity/consent"><input type="hidden" name="query" value="{{.Query}}">
<input type="hidden" name="form" value="{{.Form}}">
<p>Choose what to connect:</p>
{{range .Tenants}}<label><input type="radio" name="tenant" value="{{.ID}}"> {{.Name}}
<br><span class="note">{{if eq .Kind "PRACTICEMANAGER"}}practice{{else}}organisation{{end}}{{if .Connected}}, already connected{{end}}{{if not .FullAccess}}, you lack "Authorise 3rd Party Full Access" here{{end}}</span></label>
{{else}}<p class="note">You have nothing to connect here.</p>{{end}}
<p class="note">It asks for: {{range $i, $s := .Scope}}{{if $i}}, {{end}}{{$s}}{{end}}</p>
<button class="go" name="action" value="allow">Allow access</button> <button name="action" value="deny">Cancel</button></form>
<form method="post" action="/identity/logout"><input type="hidden" name="query" value="{{.Query}}"><p><button>Not you?</button></p></form>`)

var errorPage = parsePage(`<h1>Sorry, something went wrong</h1><p class="wrong">{{.Wrong}}</p>`)

func render(w http.ResponseWriter, status int, t *template.Template, p page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	// The templates are checked by the tests; an error here means the browser has gone.
	_ = t.ExecuteTemplate(w, "page", p)
}
