package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/services/sync/internal/plan"
)

func TestRecall(t *testing.T) {
	free := plan.Conditions{Guard: plan.Guard{Floor: 100}, Linked: 500}
	review := free
	review.Review = true
	week := plan.AskAgainAfter
	for _, step := range []struct {
		now                  plan.Conditions
		candidates, recalled int64
		want                 plan.Recall
		why                  string
	}{
		{free, 0, 0, plan.Recall{Limit: 100, OutOfScope: 25, After: week}, "as many as may leave"},
		{free, 99, 0, plan.Recall{Limit: 1, OutOfScope: 25, After: week}, "beside those that are absent"},
		{free, 100, 0, plan.Recall{Limit: 1, OutOfScope: 25, After: 2 * week}, "one at least, one day"},
		{free, 101, 0, plan.Recall{Limit: 25, OutOfScope: 25, After: week}, "these wait, and those with them"},
		{review, 0, 0, plan.Recall{Limit: 25, OutOfScope: 25, After: week}, "all wait"},
		{review, 30, 20, plan.Recall{Limit: 5, OutOfScope: 25, After: week}, "some wait already"},
		{review, 30, 26, plan.Recall{Limit: 0, OutOfScope: 25, After: week}, "enough wait already"},
		{plan.Conditions{Guard: plan.Guard{Permille: 10}, Linked: 30}, 0, 0, plan.Recall{Limit: 25, OutOfScope: 25, After: week}, "nobody may leave"},
	} {
		require.Equal(t, step.want, step.now.Recall(step.candidates, step.recalled), step.why)
	}
}
