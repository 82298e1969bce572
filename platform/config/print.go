package config

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// redacted stands where a secret that is set would stand.
const redacted = "[redacted]"

// Print writes the settings in force as a YAML file that Load understands, secrets replaced by "[redacted]".
func Print(w io.Writer, cfgs ...any) error { return Mistakes(nil).Print(w, cfgs...) }

// Print writes the settings as the function Print does, each that is wrong or missing with a comment that says so. A wrong
// one may stand there with the value that was given or with none.
func (m Mistakes) Print(w io.Writer, cfgs ...any) error {
	fields, _, err := walk(cfgs)
	if err != nil {
		return err
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range fields {
		parts := strings.Split(f.key, ".")
		node := root
		for _, part := range parts[:len(parts)-1] {
			node = branch(node, part)
		}
		value := f.node()
		for _, mistake := range m {
			if mistake.Key == f.key && mistake.Variable != "" {
				value.LineComment = "# " + strings.ReplaceAll(mistake.Rule, "\n", " ")
			}
		}
		node.Content = append(node.Content, scalar(parts[len(parts)-1]), value)
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return err
	}
	return encoder.Close()
}

// branch finds or adds the mapping under a key.
func branch(node *yaml.Node, key string) *yaml.Node {
	if found := child(node, key); found != nil {
		return found
	}
	below := &yaml.Node{Kind: yaml.MappingNode}
	node.Content = append(node.Content, scalar(key), below)
	return below
}

func scalar(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	return node
}

// node returns the field's value for printing.
func (f field) node() *yaml.Node {
	if f.secret {
		if f.value.IsZero() {
			return scalar("")
		}
		return scalar(redacted)
	}
	if f.isList() {
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, text := range f.texts() {
			list.Content = append(list.Content, scalar(redactText(text)))
		}
		return list
	}
	if f.value.Type() == urlType && f.value.IsNil() {
		return scalar("")
	}
	node := scalar(redactText(fmt.Sprint(f.value.Interface())))
	node.Tag = ""
	return node
}

// redactText hides the passwords of a URL, before the host and in the query; any other text stays.
func redactText(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		if strings.Contains(text, "@") { // too broken to find the password in it, and one may be there
			return redacted
		}
		return text
	}
	query := u.Query()
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, "xxxxx")
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

// Doc writes a Markdown table of the service's settings: key, variable, default, rules, meaning.
func Doc(w io.Writer, service string, cfgs ...any) error {
	fields, _, err := walk(cfgs)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("| key | variable | default | rules | meaning |\n|---|---|---|---|---|\n")
	for _, f := range fields {
		fallback := "–"
		if f.fallback != "" {
			fallback = "`" + f.fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s%s` | %s | %s | %s |\n",
			f.key, Prefix(service), f.variable, fallback, f.rules(), strings.ReplaceAll(f.doc, "|", `\|`))
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// rules lists the field's tags in words.
func (f field) rules() string {
	var rules []string
	if f.required {
		rules = append(rules, "required")
	}
	if f.secret {
		rules = append(rules, "secret")
	}
	if len(f.oneOf) > 0 {
		rules = append(rules, "one of "+strings.Join(f.oneOf, ", "))
	}
	if f.min != "" {
		rules = append(rules, "at least "+f.bound(f.min))
	}
	if f.max != "" {
		rules = append(rules, "at most "+f.bound(f.max))
	}
	if len(rules) == 0 {
		return "–"
	}
	return strings.Join(rules, "; ")
}
