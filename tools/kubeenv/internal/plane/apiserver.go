package plane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// Files of a control plane's folder.
const (
	certFile    = "apiserver.crt"
	keyFile     = "apiserver.key"
	accountFile = "accounts.key"
	tokenFile   = "tokens.csv"
)

// ServeAPI runs etcd and the API server in this process until ctx ends. dir holds the files that Start wrote, listener
// is where the API answers.
func ServeAPI(ctx context.Context, dir string, listener net.Listener) error {
	store, err := startStore(filepath.Join(dir, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer store.Close()

	settings := options.NewServerRunOptions()
	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range settings.Flags().FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse(apiFlags(dir, listener, store)); err != nil {
		return err
	}
	// Otherwise the server would open a port of its own, which somebody may have taken since it was found free.
	settings.SecureServing.Listener = listener
	if err := settings.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	completed, err := settings.Complete(ctx)
	if err != nil {
		return err
	}
	if problems := completed.Validate(); len(problems) > 0 {
		return errors.Join(problems...)
	}
	return app.Run(ctx, completed)
}

func apiFlags(dir string, listener net.Listener, store *embed.Etcd) []string {
	file := func(name string) string { return filepath.Join(dir, name) }
	return []string{
		"--etcd-servers=http://" + store.Clients[0].Addr().String(),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port),
		// The Endpoints of the service "kubernetes" may not be a loopback address, so nobody shall write them.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + file(certFile),
		"--tls-private-key-file=" + file(keyFile),
		"--token-auth-file=" + file(tokenFile),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + file(accountFile),
		"--service-account-key-file=" + file(accountFile),
		"--service-cluster-ip-range=10.96.0.0/16",
		"--profiling=false",
	}
}

// startStore runs a single etcd which keeps nothing that has to survive: without fsync it is several times faster.
func startStore(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = dir
	config.UnsafeNoFsync = true
	config.LogLevel = "error"
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenClientUrls, config.AdvertiseClientUrls = loopback, loopback
	config.ListenPeerUrls, config.AdvertisePeerUrls = loopback, loopback
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// It is alone and elects itself; waiting a second for that is a tenth of the whole start.
	config.TickMs, config.ElectionMs = 10, 100
	store, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-store.Server.ReadyNotify():
		return store, nil
	case err := <-store.Err():
		store.Close()
		return nil, err
	}
}
