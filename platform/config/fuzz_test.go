package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/concord-suite/concord/platform/config"
)

type fuzzed struct {
	Name  string        `config:"name" default:"n" doc:"a name"`
	Count int           `config:"count" default:"1" min:"0" max:"10" doc:"a number"`
	Wait  time.Duration `config:"wait" default:"1s" doc:"a time"`
	List  []string      `config:"list" doc:"words"`
	Size  config.Size   `config:"size" default:"1KiB" doc:"bytes"`
	Inner struct {
		Token string `config:"token" secret:"true" doc:"a secret"`
	} `config:"inner"`
}

// Whatever stands in a file or a variable, loading says what is wrong in words, or gives values within their bounds.
func FuzzLoad(f *testing.F) {
	f.Add("fuzzed:\n  name: x\n  count: 3\n", "5")
	f.Add("fuzzed: {list: [a, b], inner: {token: t}}", "-1")
	f.Add("fuzzed:\n  <<: *a\n", "1e9")
	f.Add("\x00", "")
	f.Add("a: &a [*a]", "9999999999999999999")
	path := filepath.Join(f.TempDir(), "config.yaml")
	f.Fuzz(func(t *testing.T, file, count string) {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		var cfg fuzzed
		err := config.Load(config.Source{Service: "fuzzed", Section: "fuzzed", File: path, Environ: []string{"CONCORD_FUZZED_COUNT=" + count}}, &cfg)
		if err == nil && (cfg.Count < 0 || cfg.Count > 10) {
			t.Fatalf("count is %d", cfg.Count)
		}
		var mistakes config.Mistakes
		if errors.As(err, &mistakes) && len(mistakes) == 0 || err != nil && err.Error() == "" {
			t.Fatalf("an error without words: %#v", err)
		}
	})
}
