package kube

import (
	"testing"

	"github.com/concord-suite/concord/tools/kube/rule"
)

func TestW5_ImagesAreNamedByDigest(t *testing.T) {
	holds(t, rule.Images)
	reports(t, rule.Images,
		mistake{"Deployment/auth", inMain("image"), "ghcr.io/concord-suite/concord/auth:latest", "is not named by registry and digest"},
		mistake{"Deployment/auth", inMain("image"), "concord/auth", "is not named by registry and digest"},
		mistake{"StatefulSet/nats", inMain("image"), "ghcr.io/concord-suite/concord/nats:2@sha256:0", "is not named by registry and digest"},
	)
}
