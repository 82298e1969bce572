package access

import (
	"sync"
)

// Call is one RPC under way, as far as permission and audit look at it.
type Call struct {
	// Rule is the rule of the RPC.
	Rule *Rule
	// Principal is the caller.
	Principal Principal

	mu       sync.Mutex
	firm     string
	resource string
}

// About says which firm and resource the call concerns. A stream knows with its first message.
func (c *Call) About(firm, resource string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.firm, c.resource = firm, resource
}

// Firm is the id of the firm the call concerns; before it is known, the caller's.
func (c *Call) Firm() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.firm == "" {
		return c.Principal.Firm
	}
	return c.firm
}

// Resource is the resource name the request is about, "" when it names none or is not known yet.
func (c *Call) Resource() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resource
}
