package main

import (
	"slices"
	"testing"
)

func TestDifference(t *testing.T) {
	if got := difference([]string{"a", "b"}, []string{"b", "c"}); !slices.Equal(got, []string{"+ c", "- a"}) {
		t.Error(got)
	}
	if got := difference([]string{"a"}, []string{"a"}); len(got) != 0 {
		t.Error(got)
	}
}
