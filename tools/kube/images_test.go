package kube

import (
	"strings"
	"testing"

	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestW5_ImagesAreNamedByDigest(t *testing.T) {
	holds(t, rule.Images)
	reports(t, rule.Images,
		mistake{"Deployment/auth", inMain("image"), "ghcr.io/concord-suite/concord/auth:latest", `Deployment/auth concord: image "ghcr.io/concord-suite/concord/auth:latest"`},
		mistake{"Deployment/auth", inMain("image"), "concord/auth", `Deployment/auth concord: image "concord/auth"`},
		mistake{"StatefulSet/nats", inMain("image"), "ghcr.io/concord-suite/concord/nats:2@sha256:" + strings.Repeat("0", 64), "StatefulSet/nats nats: image"},
	)
}

func TestW5_PodsRunWhatTheImageBeginsWith(t *testing.T) { holds(t, rule.Entrypoints) } // broken in mutations
