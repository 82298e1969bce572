// Package plane runs a Kubernetes control plane on loopback: API server, controller manager, scheduler and kwok, which
// plays the kubelets. Each part is a process, and each process is this program again under the name of the part.
package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Names of the parts, as this program is called for them.
const (
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Nodes             = "kwok"
	Kubectl           = "kubectl"
)

// startLimit bounds the start of the API server: 3 s on a quiet machine, more than a minute on one that has ten times its work.
const startLimit = 3 * time.Minute

// Plane is a running control plane.
type Plane struct {
	dir        string
	kubeconfig string
	config     *rest.Config
	processes  *processes
}

// Start begins a control plane whose files are in dir, which the caller removes after Stop, and waits until the API
// answers. The returned context ends, with the reason as its cause, when one of the processes ends by itself.
func Start(ctx context.Context, dir string) (*Plane, context.Context, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	p := &Plane{dir: dir, kubeconfig: filepath.Join(dir, "admin.conf")}
	if err := p.prepare("https://" + listener.Addr().String()); err != nil {
		return nil, nil, err
	}
	ctx, p.processes = newProcesses(ctx, dir)
	if err := p.run(ctx, listener.(*net.TCPListener)); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		p.Stop()
		return nil, nil, err
	}
	return p, ctx, nil
}

// Stop ends the processes and waits for them.
func (p *Plane) Stop() { p.processes.stop() }

// Config is how the administrator reaches the API.
func (p *Plane) Config() *rest.Config { return rest.CopyConfig(p.config) }

// Kubeconfig is the path of the administrator's kubeconfig.
func (p *Plane) Kubeconfig() string { return p.kubeconfig }

// identities are who may speak to the API: file of the kubeconfig, user, groups.
var identities = [][3]string{
	{"admin.conf", "admin", "system:masters"},
	{ControllerManager + ".conf", "system:kube-controller-manager", ""},
	{Scheduler + ".conf", "system:kube-scheduler", ""},
	{Nodes + ".conf", "kwok", "system:masters"},
}

// prepare writes keys, certificate, tokens and kubeconfigs.
func (p *Plane) prepare(server string) error {
	certificate, key, err := serving(time.Now())
	if err != nil {
		return err
	}
	accounts, err := signing()
	if err != nil {
		return err
	}
	var tokens []byte
	for _, identity := range identities {
		secret := token()
		tokens = fmt.Appendf(tokens, "%s,%s,%s,%q\n", secret, identity[1], identity[1], identity[2])
		if err := writeKubeconfig(filepath.Join(p.dir, identity[0]), server, certificate, secret); err != nil {
			return err
		}
	}
	for name, content := range map[string][]byte{certFile: certificate, keyFile: key, accountFile: accounts, tokenFile: tokens} {
		if err := os.WriteFile(filepath.Join(p.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	p.config, err = clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	return err
}

func writeKubeconfig(path, server string, certificate []byte, secret string) error {
	const name = "trial"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: certificate}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: secret}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	return clientcmd.WriteToFile(*config, path)
}

// run starts the parts: the API server first, since the others give up or back off for seconds when it is not there.
func (p *Plane) run(ctx context.Context, listener *net.TCPListener) error {
	socket, err := listener.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	if err := p.processes.start([]*os.File{socket}, APIServer, p.dir); err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		return err
	}
	file := func(name string) string { return filepath.Join(p.dir, name) }
	quick := []string{"--leader-elect=false", "--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000"}
	if err := p.processes.start(nil, ControllerManager, append(quick,
		"--kubeconfig="+file(ControllerManager+".conf"),
		"--use-service-account-credentials=true",
		"--node-monitor-grace-period=1h",             // kwok's nodes do not die, however late a busy machine lets it say so
		"--horizontal-pod-autoscaler-sync-period=1s", // instead of 15 s, which is also how long a new one waits
		"--service-account-private-key-file="+file(accountFile),
		"--root-ca-file="+file(certFile),
	)...); err != nil {
		return err
	}
	if err := p.processes.start(nil, Scheduler, append(quick, "--kubeconfig="+file(Scheduler+".conf"))...); err != nil {
		return err
	}
	// Its port would be open to the network, and nobody asks these kubelets anything.
	return p.processes.start(nil, Nodes, "--kubeconfig="+file(Nodes+".conf"), "--manage-all-nodes=true", "--node-port=0")
}

// waitReady asks /readyz until it says yes.
func (p *Plane) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the API server was not ready within %s", startLimit))
	defer cancel()
	client, err := rest.HTTPClientFor(p.config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	client.Timeout = 2 * time.Second // one question; the server takes connections before it answers
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("no answer")
	for {
		if last = ask(ctx, client, p.config.Host+"/readyz"); last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", context.Cause(ctx), last)
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	return nil
}
