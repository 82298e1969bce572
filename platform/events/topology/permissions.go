package topology

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Permissions are the subjects of the bus that a part may use. What is not allowed is refused; Deny takes out of what
// wildcards of Publish allow too much.
type Permissions struct{ Publish, Deny, Subscribe []string }

// Permissions derives what the part may do from what it is declared to do.
func (p Part) Permissions() Permissions {
	var all Permissions
	api := func(format string, args ...any) {
		all.Publish = append(all.Publish, fmt.Sprintf("$JS.API."+format, args...))
	}
	api("INFO") // is JetStream there
	for _, name := range p.Needs() {
		api("STREAM.INFO.%s", name)
	}
	for _, s := range p.Makes() {
		api("STREAM.CREATE.%s", s.Name)
		api("STREAM.UPDATE.%s", s.Name)
	}
	for _, name := range p.Emits {
		s, _ := StreamNamed(name)
		all.Publish = append(all.Publish, s.Subjects()...)
		all.Publish = append(all.Publish, BeaconSubject(name))
		// The relay looks whether the stream still has what it took: single events, then all headers.
		api("DIRECT.GET.%s", name)
		api("STREAM.MSG.GET.%s", name)
		all.passing(p, name, "")
	}
	for _, name := range p.Follows {
		api("CONSUMER.CREATE.%s.%s", name, p.Name)
		api("CONSUMER.CREATE.%s.%s.>", name, p.Name)
		api("CONSUMER.INFO.%s.%s", name, p.Name)
		api("CONSUMER.MSG.NEXT.%s.%s", name, p.Name)
		all.Publish = append(all.Publish, fmt.Sprintf("$JS.ACK.%s.%s.>", name, p.Name))
		all.Subscribe = append(all.Subscribe, BeaconSubject(name))
	}
	for _, subject := range p.Watches {
		if s, ok := StreamOf(subject); ok {
			all.passing(p, s.Name, "."+subject)
		}
	}
	all.Subscribe = append(all.Subscribe, Inbox(p.Name)+".>")
	for _, list := range []*[]string{&all.Publish, &all.Deny, &all.Subscribe} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return all
}

// passing allows consumers that are gone with their reader, whose names the client library makes up. The durable
// consumers of others have names as well, which are therefore denied: else one could be changed, emptied or removed.
func (all *Permissions) passing(p Part, stream, filter string) {
	allow := func(verb, rest string) {
		all.Publish = append(all.Publish, "$JS.API.CONSUMER."+verb+"."+stream+"."+rest)
	}
	allow("CREATE", "*"+filter)
	for _, verb := range []string{"INFO", "MSG.NEXT", "DELETE"} {
		allow(verb, "*")
	}
	for _, other := range Parts() {
		if !slices.Contains(other.Follows, stream) {
			continue
		}
		denied := []string{"DELETE"} // a part keeps its place in the stream
		if other.Name != p.Name {
			denied = append(denied, "CREATE", "MSG.NEXT")
		}
		for _, verb := range denied {
			all.Deny = append(all.Deny, "$JS.API.CONSUMER."+verb+"."+stream+"."+other.Name)
		}
		if other.Name != p.Name && filter != "" {
			all.Deny = append(all.Deny, "$JS.API.CONSUMER.CREATE."+stream+"."+other.Name+".>")
		}
	}
}

// Identity is the name by which the servers know a part: the URI in its certificate.
func Identity(trustDomain, part string) string { return "spiffe://" + trustDomain + "/" + part }

// The people who look after the bus: one who may do everything with its streams, one who sees the servers.
const (
	operator = "bus-operator"
	system   = "bus-system"
)

// WriteAccounts writes the accounts and users of the NATS servers in the syntax of their configuration, to be included
// beside `tls { verify_and_map: true }`. The parts are known by their certificates and share one account.
func WriteAccounts(w io.Writer, trustDomain string) error {
	text := &strings.Builder{}
	text.WriteString(accountsHead)
	for _, p := range Parts() {
		may := p.Permissions()
		fmt.Fprintf(text, "      {\n        user: %q\n        permissions: {\n          publish: {\n", Identity(trustDomain, p.Name))
		list(text, "            ", "allow", may.Publish)
		if len(may.Deny) > 0 {
			list(text, "            ", "deny", may.Deny)
		}
		text.WriteString("          }\n          subscribe: {\n")
		list(text, "            ", "allow", may.Subscribe)
		text.WriteString("          }\n        }\n      }\n")
	}
	fmt.Fprintf(text, accountsTail, Identity(trustDomain, operator), Identity(trustDomain, system))
	_, err := io.WriteString(w, text.String())
	return err
}

func list(w io.Writer, indent, name string, subjects []string) {
	fmt.Fprintf(w, "%s%s: [\n", indent, name)
	for _, subject := range subjects {
		fmt.Fprintf(w, "%s  %q\n", indent, subject)
	}
	fmt.Fprintf(w, "%s]\n", indent)
}

const accountsHead = `# Printed by "bus permissions" of any program of the suite; do not edit. A user is known by the URI in its certificate.
accounts {
  CONCORD {
    jetstream: enabled
    users: [
`

const accountsTail = `      # Who looks after the streams: no part has this certificate.
      { user: %q }
    ]
  }
  SYS {
    users: [ { user: %q } ]
  }
}
system_account: SYS
`
