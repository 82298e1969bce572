package manifest

import (
	"encoding/json"
	"fmt"
)

// Gone as the value of an Edit removes what stands at the path.
var Gone = struct{ gone bool }{true}

// Edit returns a copy of the set in which one object has another value at a path of map keys (string) and indexes (int). An
// index of -1 appends. An empty path with Gone removes the object; with a map it adds or replaces it.
func (s *Set) Edit(id string, value any, path ...any) (*Set, error) {
	objects, err := copied(s.Objects)
	if err != nil {
		return nil, err
	}
	at := -1
	for i, o := range objects {
		if o.ID() == id {
			at = i
		}
	}
	switch added, whole := value.(map[string]any); {
	case len(path) == 0 && at < 0 && whole:
		objects = append(objects, added)
	case at < 0:
		return nil, fmt.Errorf("%s has no %s", s.Name, id)
	case len(path) == 0 && value == Gone:
		objects = append(objects[:at], objects[at+1:]...)
	case len(path) == 0:
		objects[at] = added
	default:
		if _, err := edit(map[string]any(objects[at]), value, path); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	if objects, err = copied(objects); err != nil { // the value as YAML would have it
		return nil, err
	}
	return newSet(s.Name, objects)
}

// copied returns objects that share nothing with others, of the types that reading YAML gives.
func copied(objects []Object) ([]Object, error) {
	data, err := json.Marshal(objects)
	if err != nil {
		return nil, err
	}
	var same []Object
	err = json.Unmarshal(data, &same)
	return same, err
}

// edit returns the node with another value at the path. Maps are made on the way; a list must be there.
func edit(node, value any, path []any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch step := path[0].(type) {
	case string:
		m, ok := node.(map[string]any)
		if node != nil && !ok {
			return nil, fmt.Errorf("%q is asked of something else than a map", step)
		}
		if m == nil {
			m = map[string]any{}
		}
		if len(path) == 1 && value == Gone {
			if _, there := m[step]; !there {
				return nil, fmt.Errorf("nothing to remove at %q", step)
			}
			delete(m, step)
			return m, nil
		}
		below, err := edit(m[step], value, path[1:])
		m[step] = below
		return m, err
	case int:
		list, _ := node.([]any)
		if step == -1 {
			return append(list, value), nil
		}
		if step >= len(list) {
			return nil, fmt.Errorf("the list has no element %d", step)
		}
		if len(path) == 1 && value == Gone {
			return append(list[:step:step], list[step+1:]...), nil
		}
		below, err := edit(list[step], value, path[1:])
		list[step] = below
		return list, err
	}
	return nil, fmt.Errorf("a path has keys and indexes, not %T", path[0])
}
