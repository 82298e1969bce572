//go:build linux

// Package trial runs the program of an image where there is nothing but the image: its files as the root, which cannot be
// written, its user, no rights, no other process, no network. What works here needs no file that the image does not have.
//
// It takes namespaces of the kernel and no right: everybody may do it where unprivileged user namespaces are allowed.
package trial

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Room is a folder with the files of an image.
type Room struct{ folder, emulator string }

// emulators are QEMU's programs that run a static program of another architecture, by Go's name of it; Debian's package is
// qemu-user-static.
var emulators = map[string]string{"amd64": "qemu-x86_64-static", "arm64": "qemu-aarch64-static"}

// Emulator returns the program by which this machine runs programs of an architecture, "" for its own. The error says what
// is missing.
func Emulator(architecture string) (string, error) {
	if architecture == runtime.GOARCH {
		return "", nil
	}
	program, known := emulators[architecture]
	if !known {
		return "", fmt.Errorf("no emulator is known for %s", architecture)
	}
	return exec.LookPath(program)
}

// Emulated returns the same room, whose programs are run by an emulator, a static program from outside; "" runs them
// themselves.
func (r *Room) Emulated(emulator string) *Room { return &Room{folder: r.folder, emulator: emulator} }

// Extract makes a Room in a folder, which must not exist yet.
func Extract(image v1.Image, folder string) (*Room, error) {
	content := mutate.Extract(image)
	defer content.Close()
	r := &Room{folder: folder}
	for _, dir := range []string{r.root(), r.tmp()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	for entries := tar.NewReader(content); ; {
		header, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return nil, err
		}
		if err := r.put(header, entries); err != nil {
			return nil, err
		}
	}
}

func (r *Room) root() string { return filepath.Join(r.folder, "root") }
func (r *Room) tmp() string  { return filepath.Join(r.folder, "tmp") }

func (r *Room) put(header *tar.Header, content io.Reader) error {
	name := filepath.Join(r.root(), filepath.FromSlash(filepath.Clean("/"+header.Name)))
	mode := header.FileInfo().Mode()
	if mode.IsDir() {
		return os.MkdirAll(name, 0o755)
	}
	if !mode.IsRegular() {
		return fmt.Errorf("%s is neither file nor folder", header.Name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	data, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, mode.Perm())
}

// Mount puts a file where a platform would mount a secret or a ConfigMap; its folder is made if need be.
func (r *Room) Mount(path string, data []byte) error {
	name := filepath.Join(r.root(), filepath.FromSlash(filepath.Clean("/"+path)))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o444)
}

// Result is how a run ended.
type Result struct {
	Code    int      // exit code
	Out     string   // standard output and error together
	Written []string // files that it left in /tmp; nowhere else can it write
}

// limit ends a run that does not end: everything tried here takes milliseconds.
const limit = 30 * time.Second

// Run runs the program with these arguments and this environment alone.
func (r *Room) Run(ctx context.Context, program string, args, env []string) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return Result{}, err
	}
	order, err := json.Marshal(order{Root: r.root(), Tmp: r.tmp(), Program: program, Args: append([]string{program}, args...), Env: env, Emulator: r.emulator})
	if err != nil {
		return Result{}, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Args = []string{marker, string(order)}
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: os.Getgid(), Size: 1}},
		// To mount and to change the root; the program gets neither.
		AmbientCaps: []uintptr{capSysAdmin, capSysChroot},
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, fmt.Errorf("running %s alone: %w (are user namespaces allowed?)", program, err)
	}
	result := Result{Code: cmd.ProcessState.ExitCode(), Out: out.String()}
	return result, errors.Join(ctx.Err(), r.written(&result))
}

func (r *Room) written(result *Result) error {
	return filepath.WalkDir(r.tmp(), func(name string, _ fs.DirEntry, err error) error {
		if name != r.tmp() {
			result.Written = append(result.Written, "/tmp"+name[len(r.tmp()):])
		}
		return err
	})
}
