//go:build chaos

package chaos

import (
	"net/url"

	documentsv1 "github.com/concord-suite/concord/proto/gen/concord/documents/v1"
)

func byName(folders []*documentsv1.Folder) map[string]*documentsv1.Folder {
	out := map[string]*documentsv1.Folder{}
	for _, f := range folders {
		out[f.GetName()] = f
	}
	return out
}

func escape(s string) string { return url.QueryEscape(s) }
