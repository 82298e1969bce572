package practice

import (
	"fmt"
	"slices"
	"strings"

	"github.com/concord-suite/concord/sim/world"
)

// How often the mess strikes, in percent of clients.
const (
	withoutCode   = 35
	repeatedName  = 3
	markupName    = 2
	untidyName    = 2
	everyLongName = 400 // one of so many clients has a name of longName characters
	everyAccent   = 150 // one pair of so many clients differs in the encoding of an accent only
	longName      = 250
)

// trim cuts the last family down to size and with it everything that pointed to who is gone.
func (g *generator) trim(total int) {
	g.Clients = g.Clients[:total]
	there := map[string]bool{}
	linked := map[string]bool{}
	for _, c := range g.Clients {
		there[c.UUID] = true
		for _, l := range c.Contacts {
			linked[l.Contact] = true
		}
	}
	for _, c := range g.Clients {
		c.Relationships = slices.DeleteFunc(c.Relationships, func(r world.Relationship) bool { return !there[r.Related] })
		if !there[c.BillingClient] {
			c.BillingClient = ""
		}
	}
	g.Contacts = slices.DeleteFunc(g.Contacts, func(p *world.Contact) bool { return !linked[p.UUID] })
}

// retire archives and deletes some clients.
func (g *generator) retire(archived, deleted int) {
	for i, at := range g.r.Perm(len(g.Clients)) {
		switch {
		case i < archived:
			g.Clients[at].Archived = true
		case i < archived+deleted:
			g.Clients[at].Deleted = true
		default:
			return
		}
	}
}

// mess makes the practice look used.
func (g *generator) mess() {
	for i, c := range g.Clients {
		other := pick(g.r, g.Clients)
		switch {
		case i%everyLongName == everyLongName/2:
			c.Name = long(c.Name, longName)
		case i%everyAccent == 1 && i+1 < len(g.Clients):
			pair := pick(g.r, accented)
			rest := pick(g.r, endings) + " " + pick(g.r, trades)
			c.Name, g.Clients[i-1].Name = pair[0]+rest, pair[1]+rest
		case chance(g.r, repeatedName):
			c.Name = other.Name
		case chance(g.r, markupName):
			c.Name = strings.TrimSuffix(c.Name, " Pty Ltd") + ` & "Co" <Simulated>`
		case chance(g.r, untidyName):
			c.Name = strings.ReplaceAll(c.Name, " ", "  ")
		}
	}
	g.codes()
}

// codes gives most clients a code made from their name, as practices do.
func (g *generator) codes() {
	seen := map[string]int{}
	for _, c := range g.Clients {
		if chance(g.r, withoutCode) {
			continue
		}
		letters := strings.Map(func(r rune) rune {
			if r < 'A' || r > 'Z' {
				return -1
			}
			return r
		}, strings.ToUpper(c.Name))
		if len(letters) > 6 {
			letters = letters[:6]
		}
		seen[letters]++
		c.ExportCode = fmt.Sprintf("%s%03d", letters, seen[letters])
	}
}
