package e2e

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

// programWait bounds a program that is to end by itself.
const programWait = 2 * time.Minute

// output runs a program to its end and answers all it wrote; the error says how it ended.
func output(t *testing.T, path string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), programWait)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	return string(out), err
}
