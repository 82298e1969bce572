package main

import (
	"regexp"
	"strings"
)

// resourceParameter finds the placeholders that stand for one segment of a resource name: "{name}", "{parent}",
// "{client.name}", and their numbered followers ("{name_1}").
var resourceParameter = regexp.MustCompile(`^\{((?:[a-z0-9_]+\.)*(?:name|parent)(?:_\d+)?)\}`)

// nameParameters renames the placeholders of resource names after the collection before them:
// "/v1/firms/{name}/clients/{name_1}:archive" becomes "/v1/firms/{firm}/clients/{client}:archive". It returns the new
// path and the renames, old to new.
func nameParameters(path string) (named string, renames map[string]string) {
	segments := strings.Split(path, "/")
	renames = map[string]string{}
	for i := 1; i < len(segments); i++ {
		found := resourceParameter.FindStringSubmatch(segments[i])
		if found == nil || strings.HasPrefix(segments[i-1], "{") {
			continue
		}
		name := singular(segments[i-1])
		renames[found[1]] = name
		segments[i] = "{" + name + "}" + strings.TrimPrefix(segments[i], found[0])
	}
	return strings.Join(segments, "/"), renames
}

// singular turns the name of a collection into the name of one of its members, in snake_case.
func singular(collection string) string {
	var b strings.Builder
	for _, r := range collection {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	word := b.String()
	if stem, ok := strings.CutSuffix(word, "ies"); ok {
		return stem + "y"
	}
	return strings.TrimSuffix(word, "s")
}

// renameParameters applies the renames of a path to the parameters of one operation on it.
func renameParameters(operation object, renames map[string]string) {
	parameters, _ := operation["parameters"].([]any)
	for _, p := range parameters {
		parameter, ok := p.(object)
		if !ok || parameter["in"] != "path" {
			continue
		}
		name, _ := parameter["name"].(string)
		if renamed, ok := renames[name]; ok {
			parameter["name"] = renamed
			parameter["description"] = "The id of the " + strings.ReplaceAll(renamed, "_", " ") + "."
		}
	}
}
