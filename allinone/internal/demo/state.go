package demo

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
)

// state is what the demonstration remembers between starts: how far it is, and who it signed up. It is written before
// and after each step, so that a killed demonstration goes on where it was.
type state struct {
	path string

	// Operator and Administrator are the sign-ins made for the demonstration.
	Operator      person `json:"operator"`
	Administrator person `json:"administrator"`
	Staff         person `json:"staff"`
	// Requests are the request ids of calls under way, by step, so that a call made twice happens once.
	Requests map[string]string `json:"requests"`
	// Names are the resources and upstream records that later steps need, by role.
	Names map[string]string `json:"names"`
	// Sets are those of them that come in numbers.
	Sets map[string][]string `json:"sets"`
	// Done are the finished steps with the lines they printed into the summary.
	Done map[string][]row `json:"done"`
	// Took is how long each step took.
	Took map[string]time.Duration `json:"took"`
}

type person struct {
	Name     string `json:"name"`
	Email    string `json:"email"`
	Mobile   string `json:"mobile"`
	Password string `json:"password"`
}

// row is one line of the summary.
type row struct {
	What  string `json:"what"`
	Value string `json:"value"`
}

func loadState(dir string) (*state, error) {
	s := &state{
		path:     filepath.Join(dir, "demo.json"),
		Requests: map[string]string{}, Names: map[string]string{}, Sets: map[string][]string{},
		Done: map[string][]row{}, Took: map[string]time.Duration{},
	}
	b, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.Operator = person{"Operator", "operator@concord.example", "+61491570006", password()}
		s.Administrator = person{"Administrator of the practice", "admin@practice.example", "+61491570156", password()}
		return s, s.save()
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", s.path, err)
	}
	return s, nil
}

// save writes the state so that a crash leaves the old or the new one.
func (s *state) save() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(s.path+".new", s.path)
}

// request answers the request id of a call, the same one after a restart.
func (s *state) request(call string) (string, error) {
	if id, ok := s.Requests[call]; ok {
		return id, nil
	}
	id := uuid.NewString()
	s.Requests[call] = id
	return id, s.save()
}

// password makes one that passes every rule and can be typed: 100 bits in groups of four.
func password() string {
	b := make([]byte, 13)
	rand.Read(b)
	w := strings.ToLower(base32.StdEncoding.EncodeToString(b))[:20]
	return strings.Join([]string{w[:4], w[4:8], w[8:12], w[12:16], w[16:]}, "-")
}
