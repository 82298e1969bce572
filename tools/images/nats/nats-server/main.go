// Command nats-server is the NATS server as its project starts it, under a name that an image can show: ko names a program
// after the last element of its import path, which for the server's own is "v2".
//
// It has one flag more: with --follow FILE a renewed certificate is used without a signal.
//
// It stands in a module of its own, so that the server runs with the versions that its project tested it with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func main() {
	flags := flag.NewFlagSet("nats-server", flag.ExitOnError)
	usage := func() {
		fmt.Println("usage: nats-server [options]; see https://docs.nats.io/running-a-nats-service/introduction/flags")
		os.Exit(0)
	}
	flags.Usage = usage
	var files []string
	flags.Func("follow", "a file, a certificate for instance: when it changes, the configuration is read again", func(file string) error {
		files = append(files, file)
		return nil
	})
	options, err := server.ConfigureOptions(flags, os.Args[1:], server.PrintServerAndExit, usage, server.PrintTLSHelpAndDie)
	switch {
	case err != nil:
		server.PrintAndDie("nats-server: " + err.Error())
	case options.CheckConfig:
		fmt.Fprintf(os.Stderr, "nats-server: configuration file %s is valid (%s)\n", options.ConfigFile, options.ConfigDigest())
		return
	}
	server.RedactArgs(os.Args) // expvar shows them
	s, err := server.NewServer(options)
	if err != nil {
		server.PrintAndDie("nats-server: " + err.Error())
	}
	s.ConfigureLogger()
	if err := server.Run(s); err != nil {
		server.PrintAndDie("nats-server: " + err.Error())
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go follow(ctx, s, time.NewTicker(lookEvery).C, files...)
	s.WaitForShutdown()
}
