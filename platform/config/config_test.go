package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/concord-suite/concord/platform/config"
)

type smsConfig struct {
	URL   *url.URL `config:"url" required:"true" doc:"Where messages are sent."`
	Token string   `config:"token" secret:"true" min:"8" doc:"The token."`
}

type shared struct {
	Level string `config:"log_level" default:"info" oneof:"debug info" doc:"How much is logged."`
}

type testConfig struct {
	shared  `config:"-"`
	Process shared         `config:",inline"`
	Addr    netip.AddrPort `config:"addr" default:"127.0.0.1:8080" doc:"Where it listens."`
	Timeout time.Duration  `config:"timeout" default:"5s" min:"100ms" max:"1m" doc:"How long."`
	Upload  config.Size    `config:"upload" default:"20MiB" max:"1GiB" doc:"How large."`
	Peers   []string       `config:"peers" default:"a,b" max:"3" oneof:"a b c d" doc:"Who may call."`
	Ratio   float64        `config:"ratio" default:"0.1" min:"0" max:"1" doc:"How much."`
	Port    uint16         `config:"port" doc:"Which port."`
	On      bool           `config:"on" default:"true" doc:"Whether."`
	SMS     smsConfig      `config:"sms"`
}

func (c *testConfig) Validate() error {
	if c.On && c.Port == 0 {
		return errors.Join(errors.New("port is needed when on"), errors.New("second rule"))
	}
	return nil
}

func load(t *testing.T, file string, environ ...string) (testConfig, error) {
	t.Helper()
	src := config.Source{Service: "auth", Environ: append([]string{"PATH=/bin", "CONCORD_SYNC_X=other service"}, environ...)}
	if file != "" {
		src.File = write(t, file)
	}
	var cfg testConfig
	err := config.Load(src, &cfg)
	return cfg, err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaultsFileAndEnvironmentInThatOrder(t *testing.T) {
	cfg, err := load(t, "timeout: 7s\nport: 80\nupload: 1KiB\npeers: [c]\nsms:\n  url: https://sms.example/send\n  token: from-the-file\n",
		"CONCORD_AUTH_TIMEOUT=9s", "CONCORD_AUTH_LOG_LEVEL=debug", "CONCORD_AUTH_RATIO=")
	require.NoError(t, err)
	require.Equal(t, 9*time.Second, cfg.Timeout, "environment over file")
	require.Equal(t, config.Size(1024), cfg.Upload, "file over default")
	require.Equal(t, []string{"c"}, cfg.Peers)
	require.Equal(t, "debug", cfg.Process.Level)
	require.InDelta(t, 0.1, cfg.Ratio, 0, "an empty variable is not set")
	require.Equal(t, "127.0.0.1:8080", cfg.Addr.String())
	require.Equal(t, "sms.example", cfg.SMS.URL.Host)
	require.Equal(t, "from-the-file", cfg.SMS.Token)
	require.Equal(t, uint16(80), cfg.Port)
}

func TestAllMistakesAtOnceEachOnOneLine(t *testing.T) {
	_, err := load(t, "timeout: 2m\nspeed: 3\nsms: {token: short, colour: red}\ntimeout: 1s\npeers: {a: 1}\n",
		"CONCORD_AUTH_ADDR=here", "CONCORD_AUTH_UPLOAD=2GiB", "CONCORD_AUTH_LOG_LEVEL=loud", "CONCORD_AUTH_PORT=70000",
		"CONCORD_AUTH_ON=maybe", "CONCORD_AUTH_TIMEUOT=3s")
	var mistakes config.Mistakes
	require.ErrorAs(t, err, &mistakes)
	require.Equal(t, `speed: is not a setting (line 2 of the file)
sms.colour: is not a setting (line 3 of the file)
timeout: stands twice (line 4 of the file)
peers: must be a plain value or a list (line 5 of the file)
log_level (CONCORD_AUTH_LOG_LEVEL): must be one of debug, info, not "loud"
addr (CONCORD_AUTH_ADDR): not an ip:port, not "here"
timeout (CONCORD_AUTH_TIMEOUT): must be at most 1m, not "2m"
upload (CONCORD_AUTH_UPLOAD): must be at most 1GiB, not "2GiB"
port (CONCORD_AUTH_PORT): must be a whole number from 0 to 65535, not "70000"
on (CONCORD_AUTH_ON): must be true or false, not "maybe"
sms.url (CONCORD_AUTH_SMS_URL): is required
sms.token (CONCORD_AUTH_SMS_TOKEN): must be at least 8 characters
CONCORD_AUTH_TIMEUOT: is not a setting`, err.Error())
}

func TestRulesAcrossSettingsCountOneByOne(t *testing.T) {
	_, err := load(t, "", "CONCORD_AUTH_SMS_URL=https://sms.example")
	require.EqualError(t, err, "port is needed when on\nsecond rule")
}

func TestSecretsComeFromFilesToo(t *testing.T) {
	path := write(t, "long-enough\n")
	base := []string{"CONCORD_AUTH_SMS_URL=https://sms.example", "CONCORD_AUTH_PORT=1"}

	cfg, err := load(t, "", append(base, "CONCORD_AUTH_SMS_TOKEN_FILE="+path)...)
	require.NoError(t, err)
	require.Equal(t, "long-enough", cfg.SMS.Token, "without the newline at the end")

	cfg, err = load(t, "sms: {token_file: "+path+"}", base...)
	require.NoError(t, err)
	require.Equal(t, "long-enough", cfg.SMS.Token)

	_, err = load(t, "", append(base, "CONCORD_AUTH_SMS_TOKEN_FILE="+path, "CONCORD_AUTH_SMS_TOKEN=also-given")...)
	require.ErrorContains(t, err, "is given twice")
	_, err = load(t, "", append(base, "CONCORD_AUTH_SMS_TOKEN_FILE=/does/not/exist")...)
	require.ErrorContains(t, err, "sms.token (CONCORD_AUTH_SMS_TOKEN): cannot be read")
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("\n"), 0o600))
	_, err = load(t, "", append(base, "CONCORD_AUTH_SMS_TOKEN_FILE="+empty)...)
	require.ErrorContains(t, err, "is empty in the file "+empty)
	_, err = load(t, "", append(base, "CONCORD_AUTH_PORT_FILE="+path)...)
	require.ErrorContains(t, err, "CONCORD_AUTH_PORT_FILE: is not a setting", "only secrets come from files")
}

func TestFileNamedByTheEnvironmentAndSections(t *testing.T) {
	path := write(t, "auth: {timeout: 8s}\nsync: {anything: 1}\n")
	var cfg struct {
		Timeout time.Duration `config:"timeout" doc:"How long."`
	}
	environ := []string{"CONCORD_AUTH_CONFIG_FILE=" + path}
	require.NoError(t, config.Load(config.Source{Service: "auth", Environ: environ, Section: "auth"}, &cfg))
	require.Equal(t, 8*time.Second, cfg.Timeout)
	require.NoError(t, config.Load(config.Source{Service: "auth", Environ: environ, Section: "absent"}, &cfg))
	require.Error(t, config.Load(config.Source{Service: "auth", Environ: environ}, &cfg))
	require.ErrorContains(t, config.Load(config.Source{Service: "auth", File: write(t, "a: [")}, &cfg), "configuration file")
	require.NoError(t, config.Load(config.Source{Service: "auth", File: write(t, "")}, &cfg))
}

func TestCheckSections(t *testing.T) {
	require.NoError(t, config.CheckSections(write(t, "auth: {}\nsync: {a: 1}\n"), "auth", "sync"))
	require.NoError(t, config.CheckSections(write(t, ""), "auth"))
	require.EqualError(t, config.CheckSections(write(t, "auth: {}\nsnyc: {}\n"), "auth", "sync"),
		"snyc: is not a section; there are auth, sync (line 2 of the file)")
	require.EqualError(t, config.CheckSections(write(t, "- a\n"), "auth"), "the file must hold sections (line 1 of the file)")
	require.Error(t, config.CheckSections("/does/not/exist", "auth"))
}

func TestStructsSideBySide(t *testing.T) {
	var process struct {
		Addr string `config:"addr" doc:"A."`
	}
	var service struct {
		Timeout time.Duration `config:"timeout" doc:"T."`
	}
	src := config.Source{Service: "auth", Environ: []string{"CONCORD_AUTH_ADDR=a", "CONCORD_AUTH_TIMEOUT=1s"}}
	require.NoError(t, config.Load(src, &process, &service))
	require.Equal(t, "a", process.Addr)
	require.Equal(t, time.Second, service.Timeout)
	require.ErrorContains(t, config.Load(src, &process), "CONCORD_AUTH_TIMEOUT: is not a setting")
	again := process
	require.ErrorContains(t, config.Load(src, &process, &again), "two settings share the variable ADDR")
}

func TestPrintRedactsAndLoadsAgain(t *testing.T) {
	cfg, err := load(t, "", "CONCORD_AUTH_SMS_URL=https://user:hush-hush@sms.example/send", "CONCORD_AUTH_PORT=1",
		"CONCORD_AUTH_SMS_TOKEN=hush-hush")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, config.Print(&out, &cfg))
	require.NotContains(t, out.String(), "hush")
	require.Contains(t, out.String(), "log_level: info\n")
	require.Contains(t, out.String(), "  token: '[redacted]'\n")
	again, err := load(t, out.String())
	require.NoError(t, err)
	require.Equal(t, cfg.Peers, again.Peers)
	require.Equal(t, cfg.Addr, again.Addr)
}

// What is wrong or missing is marked where it stands, and the rest can be read all the same.
func TestPrintMarksMistakes(t *testing.T) {
	cfg, err := load(t, "", "CONCORD_AUTH_UPLOAD=2GiB", "CONCORD_AUTH_SMS_TOKEN=hush", "CONCORD_AUTH_TIMEUOT=3s")
	var mistakes config.Mistakes
	require.ErrorAs(t, err, &mistakes)
	var out bytes.Buffer
	require.NoError(t, mistakes.Print(&out, &cfg))
	require.Contains(t, out.String(), "timeout: 5s\n")
	require.Contains(t, out.String(), "upload: 2GiB # must be at most 1GiB, not \"2GiB\"\n")
	require.Contains(t, out.String(), "  url: \"\" # is required\n")
	require.Contains(t, out.String(), "  token: '[redacted]' # must be at least 8 characters\n")
	require.NotContains(t, out.String(), "hush")
}

func TestPrintHidesPasswordsInsideURLs(t *testing.T) {
	var cfg struct {
		DB string `config:"db" doc:"The database."`
	}
	for _, url := range []string{"postgres://u:hush@h/db", "postgres://u@h/db?password=hush", "postgres://u:hu%zsh@h"} {
		cfg.DB = url
		var out bytes.Buffer
		require.NoError(t, config.Print(&out, &cfg))
		require.NotContains(t, out.String(), "hu", url)
	}
}

func TestDocListsEverySetting(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, config.Doc(&out, "auth", &testConfig{}))
	require.Contains(t, out.String(), "| `timeout` | `CONCORD_AUTH_TIMEOUT` | `5s` | at least 100ms; at most 1m | How long. |\n")
	require.Contains(t, out.String(), "| `sms.token` | `CONCORD_AUTH_SMS_TOKEN` | – | secret; at least 8 characters | The token. |\n")
}

func TestWrongStructsAreRefused(t *testing.T) {
	for name, cfg := range map[string]any{
		"no pointer": testConfig{},
		"no tag":     &struct{ A string }{},
		"no doc": &struct {
			A string `config:"a"`
		}{},
		"wrong type": &struct {
			A map[string]string `config:"a" doc:"A."`
		}{},
		"wrong default": &struct {
			A int `config:"a" doc:"A." default:"x"`
		}{},
		"default out of bounds": &struct {
			A int `config:"a" doc:"A." default:"3" max:"2"`
		}{},
		"wrong bound": &struct {
			A time.Duration `config:"a" doc:"A." max:"2"`
		}{},
		"one variable twice": &struct {
			A string `config:"b_c" doc:"A."`
			B struct {
				C string `config:"c" doc:"C."`
			} `config:"b"`
		}{},
		"secret beside its file": &struct {
			A string `config:"a" secret:"true" doc:"A."`
			B string `config:"a_file" doc:"B."`
		}{},
		"reserved": &struct {
			A string `config:"config_file" doc:"A."`
		}{},
	} {
		err := config.Load(config.Source{Service: "auth"}, cfg)
		require.Error(t, err, name)
		var mistakes config.Mistakes
		require.False(t, errors.As(err, &mistakes), name)
	}
}

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{"0": 0, "512": 512, "64KiB": 65536, "2GiB": 2 << 30, "1 MiB": 1 << 20} {
		var s config.Size
		require.NoError(t, s.UnmarshalText([]byte(text)))
		require.Equal(t, want, s)
	}
	for _, text := range []string{"", "-1", "1.5MiB", "9999999999GiB", "MB"} {
		var s config.Size
		require.Error(t, s.UnmarshalText([]byte(text)), text)
	}
	require.Equal(t, "20MiB", config.Size(20<<20).String())
	require.Equal(t, "1025", config.Size(1025).String())
}

func TestASecretCanBeReadAgain(t *testing.T) {
	type settings struct {
		URL config.Secret `config:"url" required:"true" secret:"true" doc:"A URL."`
	}
	path := filepath.Join(t.TempDir(), "url")
	write := func(text string) { require.NoError(t, os.WriteFile(path, []byte(text), 0o600)) }
	write("one\n")
	yaml := filepath.Join(t.TempDir(), "settings.yaml")
	require.NoError(t, os.WriteFile(yaml, []byte("url_file: "+path+"\n"), 0o600))
	for _, source := range []config.Source{
		{Service: "auth", Environ: []string{"CONCORD_AUTH_URL_FILE=" + path}}, {Service: "auth", File: yaml},
	} {
		write("one\n")
		var c settings
		require.NoError(t, config.Load(source, &c))
		require.Equal(t, "one", c.URL.Text())
		require.NotContains(t, fmt.Sprintf("%v %s", c.URL, c), "one")
		write("two\n")
		now, err := c.URL.Latest()
		require.NoError(t, err)
		require.Equal(t, "two", now)
		require.Equal(t, "one", c.URL.Text())
		write("\n")
		_, err = c.URL.Latest()
		require.EqualError(t, err, "its file is empty")
		require.NoError(t, os.Remove(path))
		_, err = c.URL.Latest()
		require.EqualError(t, err, "its file cannot be read: no such file or directory")
	}
	var c settings
	require.NoError(t, config.Load(config.Source{Service: "auth", Environ: []string{"CONCORD_AUTH_URL=three"}}, &c))
	now, err := c.URL.Latest()
	require.NoError(t, err)
	require.Equal(t, "three", now)
	require.Error(t, config.Load(config.Source{Service: "auth"}, &settings{}), "it is required")
}
