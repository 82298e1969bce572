// Package kube has the tests of deploy/k8s that need no cluster: every overlay and every combination of components is rendered
// as a platform team would, held against the schemas of Kubernetes and of the operators, scored, and asked by the rules of
// package rule. A test is named by the ids of the checklist in docs/deploying.md that it proves.
//
// Each rule is also shown manifests with a mistake in them, which it must report: a check that can't fail proves nothing.
package kube
