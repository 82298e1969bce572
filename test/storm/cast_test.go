package storm

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	authv1 "github.com/concord-suite/concord/proto/gen/concord/auth/v1"
	connectorv1 "github.com/concord-suite/concord/proto/gen/concord/connector/v1"
	optionsv1 "github.com/concord-suite/concord/proto/gen/concord/options/v1"
	"github.com/concord-suite/concord/sim"
	"github.com/concord-suite/concord/sim/remote"
	"github.com/concord-suite/concord/test/rest"
	"github.com/concord-suite/concord/test/story"
	"github.com/concord-suite/concord/test/topology"
)

// actor is somebody who calls.
type actor struct {
	kind   string
	firm   string // "firms/{firm}", empty for nobody and the operator
	token  string // by REST
	person *story.Person
	// service makes internal tokens of its own instead of signing in.
	service string
	// internal are the tokens by which services know the actor, by service.
	internal map[string]string
	// retry makes the actor a session when the one they had ended.
	retry func() error
}

// cast is everybody: an operator, and two firms with one of each kind.
type cast struct {
	suite  *topology.Suite
	home   home
	op     *story.Person
	actors []*actor
	round  int
	lost   map[string]int // actors that could not sign in again, by kind
}

func claim(t *testing.T, suite *topology.Suite) *cast {
	c := &cast{suite: suite, lost: map[string]int{}}
	suite.Transport = &c.home
	c.op = suite.Claim(t)
	return c
}

// home is where the people sign in from, one network after the other: some have a new password that they do not know, and
// what they guess is not to keep the others out, who would sit in the same office.
type home struct{ number atomic.Uint32 }

func (h *home) move() { h.number.Add(1) }

// RoundTrip implements http.RoundTripper.
func (h *home) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	n := h.number.Load()
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("203.%d.%d.1", n>>8&0xff, n&0xff))
	return http.DefaultTransport.RoundTrip(r)
}

// rebuild makes two new firms, so that what the requests before broke does not keep the next ones from getting anywhere.
func (c *cast) rebuild(t *testing.T, p *pool) {
	c.round++
	c.actors = []*actor{
		{kind: "nobody"}, {kind: "operator", token: c.op.Token, person: c.op, retry: func() error { return c.signIn(c.op) }},
	}
	c.operator(t)
	for side, practice := range map[string]string{"left": sim.PracticeName, "right": sim.SecondPracticeName} {
		name := fmt.Sprintf("%s%d", side, c.round)
		adm := c.suite.Firm(t, c.op, name)
		connect(t, adm, practice)
		weak := adm.Invite(t, &c.suite.Stage, "weak@"+name+".example", authv1.Role_ROLE_ADMINISTRATOR)
		member := adm.Invite(t, &c.suite.Stage, "staff@"+name+".example", authv1.Role_ROLE_STAFF)
		reader := adm.Invite(t, &c.suite.Stage, "reader@"+name+".example", authv1.Role_ROLE_READ_ONLY)
		portal := adm.Portal(t, &c.suite.Stage, adm.Contacts(t, "")[0], "contact@"+name+".example")
		c.add("administrator", adm)
		c.add("weak administrator", weak)
		c.add("staff", member)
		c.add("read-only staff", reader)
		c.add("contact", portal)
		c.addIn(t, member)
		c.actors = append(c.actors, &actor{kind: "agent", firm: adm.Firm, token: adm.Agent(t).Token})
		if c.suite.Kind == topology.ManyProcesses {
			for _, service := range []string{"auth", "connector", "documents", "sync", "gateway"} {
				c.actors = append(c.actors, &actor{kind: "service", firm: adm.Firm, service: service})
			}
		}
		p.know(adm)
		p.common(t, adm)
	}
}

// connect connects one of the practices of the world: each firm has its own, or both would hold the same records.
func connect(t *testing.T, adm *story.Person, practice string) {
	attempt := adm.Authorise(t, remote.Choice{Person: sim.Consultant, Tenant: practice})
	options := attempt.GetSuggestedOptions()
	options.NewRecordPolicy = connectorv1.NewRecordPolicy_NEW_RECORD_POLICY_CREATE
	require.NoError(t, adm.Call(t.Context(), "POST", "/v1/"+attempt.GetName()+":confirm", &connectorv1.ConfirmConnectAttemptRequest{
		TenantId: attempt.GetPreselectedTenantId(), Options: options,
	}, nil))
	adm.SignIn(t) // enforcement ended weaker sessions
	adm.StepUp(t)
	adm.FirstRun(t)
}

func (c *cast) add(kind string, p *story.Person) {
	c.actors = append(c.actors, &actor{kind: kind, firm: p.Firm, token: p.Token, person: p, retry: func() error { return c.signIn(p) }})
}

func (c *cast) addIn(t *testing.T, p *story.Person) {
	c.actors = append(c.actors, &actor{kind: "Add-In", firm: p.Firm, token: p.AddIn(t).Token})
}

// wake gives everybody a session who lost theirs, and the tokens below the gateway.
func (c *cast) wake(t *testing.T, p *pool) {
	c.home.move()
	for _, a := range c.actors {
		if a.person != nil {
			if _, err := a.person.Send(t.Context(), "GET", "/v1/session", nil, ""); rest.ProblemOf(err) != nil && rest.ProblemOf(err).Status == 401 {
				if a.kind == "operator" {
					c.operator(t)
				} else if err := a.retry(); err != nil {
					c.lost[a.kind]++
				}
			}
			a.token = a.person.Token
		}
		if a.kind == "operator" { // who is known to every firm, as the maker of it
			now, err := a.person.Send(t.Context(), "GET", "/v1/session", nil, "")
			require.NoError(t, err)
			p.everybodys(string(now))
		}
		if c.suite.Kind == topology.ManyProcesses {
			c.inside(t, a)
		}
	}
}

// longestWait is beyond the longest that somebody who guessed is made to wait.
const longestWait = 16 * time.Minute

// operator signs the operator in, who makes the firms of the next rounds: what the storm guessed may have to be sat out.
func (c *cast) operator(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), longestWait)
	defer cancel()
	for {
		err := c.signIn(c.op)
		if err == nil {
			return
		}
		p := rest.ProblemOf(err)
		require.True(t, p != nil && p.Status == http.StatusTooManyRequests, "the operator signs in: %v", err)
		until, malformed := time.Parse(time.RFC3339, p.Metadata["retry_time"])
		require.NoError(t, malformed, "%v", p)
		fmt.Printf("the operator has to wait until %s\n", until.Format(time.TimeOnly))
		wait := time.NewTimer(time.Until(until) + time.Second)
		select {
		case <-wait.C:
		case <-ctx.Done():
			t.Fatal("the operator could not sign in: ", err)
		}
	}
}

// inside makes an actor's tokens for every service, as the gateway and the services do.
func (c *cast) inside(t *testing.T, a *actor) {
	a.internal = map[string]string{}
	for name := range c.suite.GRPC {
		switch {
		case a.service != "":
			a.internal[name] = c.suite.ServiceToken(t, a.service, name, a.firm[len("firms/"):])
		case a.token != "":
			a.internal[name] = resolve(t, c.suite, a.token, name)
		}
	}
}

// pick chooses who calls a method, nil for a way in that is none: mostly somebody who may.
func (c *cast) pick(r *rand.Rand, m protoreflect.MethodDescriptor) *actor {
	a := c.actors[r.IntN(len(c.actors))]
	if m == nil || r.IntN(3) == 0 {
		return a
	}
	rule, _ := proto.GetExtension(m.Options(), optionsv1.E_Rule).(*optionsv1.Rule)
	for range 50 {
		if a = c.actors[r.IntN(len(c.actors))]; a.may(rule) {
			break
		}
	}
	return a
}

// may says whether a rule admits such callers.
func (a *actor) may(rule *optionsv1.Rule) bool {
	if a.service != "" && !slices.Contains(rule.GetServices(), a.service) {
		return false
	}
	return slices.Contains(rule.GetAllow(), kinds[a.kind]) && (a.kind != "weak administrator" || !rule.GetStepUp())
}

var kinds = map[string]optionsv1.PrincipalKind{
	"nobody":             optionsv1.PrincipalKind_PRINCIPAL_KIND_ANONYMOUS,
	"operator":           optionsv1.PrincipalKind_PRINCIPAL_KIND_OPERATOR,
	"administrator":      optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR,
	"weak administrator": optionsv1.PrincipalKind_PRINCIPAL_KIND_ADMINISTRATOR,
	"staff":              optionsv1.PrincipalKind_PRINCIPAL_KIND_STAFF,
	"read-only staff":    optionsv1.PrincipalKind_PRINCIPAL_KIND_READ_ONLY_STAFF,
	"contact":            optionsv1.PrincipalKind_PRINCIPAL_KIND_CONTACT,
	"Add-In":             optionsv1.PrincipalKind_PRINCIPAL_KIND_ADD_IN,
	"agent":              optionsv1.PrincipalKind_PRINCIPAL_KIND_AGENT,
	"service":            optionsv1.PrincipalKind_PRINCIPAL_KIND_SERVICE,
}

// signIn is a sign-in that may fail: the storm may have disabled the account.
func (c *cast) signIn(p *story.Person) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	box := inbox{ctx, c.suite.World, map[string]string{}}
	box.skip(p.Email)
	box.skip(p.Mobile)
	start := new(authv1.StartSignInResponse)
	p.Token = ""
	if err := p.Call(ctx, "POST", "/v1/sign-in", &authv1.StartSignInRequest{Email: p.Email, Password: story.Password, Firm: p.Firm}, start); err != nil {
		return err
	}
	if start.GetSessionToken() != "" {
		p.Token = start.GetSessionToken()
		return nil
	}
	verify := &authv1.VerifyPinRequest{Challenge: start.GetChallenge().GetChallenge()}
	switch start.GetChallenge().GetChannel() {
	case authv1.Channel_CHANNEL_SMS:
		verify.Pin = box.pin(p.Mobile)
	case authv1.Channel_CHANNEL_EMAIL:
		verify.Pin = box.pin(p.Email)
	default:
		verify.Pin, verify.EmailPin = box.pin(p.Mobile), box.pin(p.Email)
	}
	done := new(authv1.VerifyPinResponse)
	if err := p.Call(ctx, "POST", "/v1/sign-in/challenges/"+verify.GetChallenge()+":verify", verify, done); err != nil {
		return err
	}
	p.Token = done.GetSessionToken()
	return nil
}

// inbox reads what the simulated world delivered to somebody.
type inbox struct {
	ctx   context.Context
	world *remote.Client
	seen  map[string]string
}

// skip passes over what is there.
func (b inbox) skip(to string) {
	if to == "" {
		return
	}
	if msgs, err := b.world.Messages(b.ctx, to, "", 0); err == nil && len(msgs) > 0 {
		b.seen[to] = msgs[len(msgs)-1].ID
	}
}

// pin waits for the next message with a PIN; without one it answers what is no PIN.
func (b inbox) pin(to string) string {
	msgs, _ := b.world.Messages(b.ctx, to, b.seen[to], 5*time.Second)
	for _, m := range msgs {
		if pin := sixDigits.FindString(m.Text); pin != "" {
			return pin
		}
	}
	return "none"
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// resolve asks auth, as the gateway does, who holds a session token; what has ended resolves to nothing.
func resolve(t *testing.T, s *topology.Suite, token, audience string) string {
	conn := dial(t, s.GRPC["auth"])
	defer conn.Close()
	ctx := bearing(t.Context(), s.ServiceToken(t, "gateway", "auth", ""))
	resp, err := authv1.NewSessionServiceClient(conn).ResolveSession(ctx, &authv1.ResolveSessionRequest{SessionToken: token, Audience: audience})
	if err != nil {
		return ""
	}
	require.NotEmpty(t, resp.GetInternalToken())
	return resp.GetInternalToken()
}
