// Package stage says how the nodes and pods that kwok plays behave: as kwok's own quick stages have it, but that a pod takes
// a moment to end, and that some images can't be run.
package stage

import (
	"fmt"
	"strings"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/yaml"
)

// Unrunnable is the digest of an image that no registry has: a pod with it is never ready.
var Unrunnable = "sha256:" + strings.Repeat("0", 64)

// ending is how long a pod takes to end, in milliseconds. A StatefulSet's pod that ends at once comes back under its name before the
// disruption controller has seen that it was gone, which then counts it as evicted for two minutes more.
const ending = 500

// Files are kwok's configuration, by the name of the file.
func Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, s := range []struct {
		name, text string
		change     func(spec map[string]any)
	}{
		{"node.yaml", nodefast.DefaultNodeInit, nil},
		{"pod-complete.yaml", podfast.DefaultPodComplete, nil},
		{"pod-ready.yaml", podfast.DefaultPodReady, func(spec map[string]any) {
			selector := spec["selector"].(map[string]any)
			selector["matchExpressions"] = append(selector["matchExpressions"].([]any), map[string]any{
				"key": fmt.Sprintf(".spec.containers.[] | select( .image | endswith(%q) ) | .name", Unrunnable), "operator": "DoesNotExist",
			})
		}},
		{"pod-delete.yaml", podfast.DefaultPodDelete, func(spec map[string]any) {
			spec["delay"] = map[string]any{"durationMilliseconds": ending}
		}},
	} {
		if s.change == nil {
			files[s.name] = []byte(s.text)
			continue
		}
		var stage map[string]any
		if err := yaml.Unmarshal([]byte(s.text), &stage); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		s.change(stage["spec"].(map[string]any))
		text, err := yaml.Marshal(stage)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		files[s.name] = text
	}
	return files, nil
}
