// Command tiny says what it finds where it runs, and writes the files that it is told to write.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/concord-suite/concord/linked"
)

func main() {
	fmt.Println(linked.Greeting, "as", os.Getuid(), os.Getgid(), "process", os.Getpid())
	fmt.Println("environment", strings.Join(os.Environ(), " "))
	entries, err := os.ReadDir("/")
	fmt.Println("root", entries, err)
	mounted, err := os.ReadFile("/etc/concord/mounted")
	fmt.Println("mounted", string(mounted), err)
	for _, name := range os.Args[1:] {
		fmt.Println("write", name, os.WriteFile(name, []byte("x"), 0o600))
	}
	if len(os.Args) > 1 {
		os.Exit(3)
	}
}
