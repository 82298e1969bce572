package stage

import (
	"strings"
	"testing"
)

func TestFilesSayWhatIsUnlikeKwoksOwn(t *testing.T) {
	files, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 4 {
		t.Errorf("got %d files, want 4", len(files))
	}
	for name, want := range map[string]string{
		"pod-ready.yaml":  Unrunnable,
		"pod-delete.yaml": "durationMilliseconds: 500",
	} {
		if text := string(files[name]); !strings.Contains(text, want) || !strings.Contains(text, "deletionTimestamp") {
			t.Errorf("%s lacks %q or what kwok has there: %s", name, want, text)
		}
	}
}
