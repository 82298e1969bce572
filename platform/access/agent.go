package access

import (
	"context"
	"strings"
)

// AgentHeader is the metadata key under which one service tells the next what program the person came with.
const AgentHeader = "concord-user-agent"

// maxAgent is how much of it is kept: browsers name themselves in about 120 characters.
const maxAgent = 200

type agentKey struct{}

// WithAgent returns a context that knows what program a person came with, in that program's own words. It is no more than
// a word for the record: nothing is decided by it.
func WithAgent(ctx context.Context, agent string) context.Context {
	agent = cleanAgent(agent)
	if agent == "" {
		return ctx
	}
	return context.WithValue(ctx, agentKey{}, agent)
}

// AgentOf is what program the person of the context came with, at most 200 printable ASCII characters; empty when nobody
// said.
func AgentOf(ctx context.Context) string {
	agent, _ := ctx.Value(agentKey{}).(string)
	return agent
}

// cleanAgent keeps what fits on a line: a stranger writes it, and logs and ledgers are read by people and programs.
func cleanAgent(agent string) string {
	agent = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, agent[:min(len(agent), 4*maxAgent)])
	return strings.TrimSpace(agent[:min(len(agent), maxAgent)])
}
