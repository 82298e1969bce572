// Package xmltree reads small XML documents as a tree, keeping apart what the providers keep apart:
// an element that is absent and one that is empty.
package xmltree

import (
	"encoding/xml"
	"strings"
)

// Node is one element.
type Node struct {
	XMLName  xml.Name
	Text     string     `xml:",chardata"`
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []Node     `xml:",any"`
}

// Parse reads a document and returns its root.
func Parse(document []byte) (*Node, error) {
	root := new(Node)
	if err := xml.Unmarshal(document, root); err != nil {
		return nil, err
	}
	return root, nil
}

// Child returns the first child of that name without regard to case, or nil. A nil node has none.
func (n *Node) Child(name string) *Node {
	if n == nil {
		return nil
	}
	for i := range n.Children {
		if strings.EqualFold(n.Children[i].XMLName.Local, name) {
			return &n.Children[i]
		}
	}
	return nil
}

// Value returns the text of a child without surrounding white space, and whether the child is there.
func (n *Node) Value(name string) (string, bool) {
	if c := n.Child(name); c != nil {
		return strings.TrimSpace(c.Text), true
	}
	return "", false
}

// Raw returns the text of a child exactly as it stands.
func (n *Node) Raw(name string) string {
	if c := n.Child(name); c != nil {
		return c.Text
	}
	return ""
}
