// Package lint runs what others know about manifests over a rendering: kubeconform against the schemas of package schema, and
// kube-score.
package lint

import (
	"encoding/json"
	"fmt"

	"github.com/yannh/kubeconform/pkg/resource"
	"github.com/yannh/kubeconform/pkg/validator"

	"github.com/concord-suite/concord/tools/kube/manifest"
	"github.com/concord-suite/concord/tools/kube/schema"
)

// Conformer compares objects with schemas. It keeps those that it has read.
type Conformer struct{ validator validator.Validator }

// NewConformer takes the folder of schema.Make. Nothing else is asked for a schema; a kind without one is a break.
func NewConformer(folder string) (*Conformer, error) {
	v, err := validator.New([]string{schema.Location(folder)}, validator.Opts{Strict: true})
	return &Conformer{v}, err
}

// Breaks lists the objects that a cluster would not take, or would take without some of their fields.
func (c *Conformer) Breaks(s *manifest.Set) ([]string, error) {
	var breaks []string
	for _, o := range s.Objects {
		data, err := json.Marshal(o)
		if err != nil {
			return nil, err
		}
		if result := c.validator.ValidateResource(resource.Resource{Path: s.Name, Bytes: data}); result.Status != validator.Valid {
			breaks = append(breaks, fmt.Sprintf("%s: %v", o.ID(), result.Err))
		}
	}
	return breaks, nil
}
