package demo

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	// pollWait bounds every wait for something that follows by itself: an event, a saga.
	pollWait = 30 * time.Second
	// pollEvery is short against what a person notices.
	pollEvery = 50 * time.Millisecond
)

// poll asks until it is so. What for is said when it never was.
func poll[T any](ctx context.Context, what string, ask func() (T, bool, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, pollWait)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		v, ok, err := ask()
		if ok || err != nil {
			return v, err
		}
		select {
		case <-ctx.Done():
			return v, fmt.Errorf("waited %s for %s", pollWait, what)
		case <-tick.C:
		}
	}
}

// word makes a word for people of an enum's name.
func word(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}
