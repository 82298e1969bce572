package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
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

// span words the time from one moment to another; empty unless both are known and in that order.
func span(from, to *timestamppb.Timestamp) string {
	if from == nil || to == nil || to.AsTime().Before(from.AsTime()) {
		return ""
	}
	return took(to.AsTime().Sub(from.AsTime()), time.Millisecond)
}

// took words how long something took, to the unit; less than one of it is said so.
func took(d, unit time.Duration) string {
	if d < unit {
		return "less than " + unit.String()
	}
	return d.Round(unit).String()
}

// count words a number of things.
func count[N int | int32 | int64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// word makes a word for people of an enum's name.
func word(name, prefix string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, prefix)), "_", " ")
}
