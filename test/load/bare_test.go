package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	syncv1 "github.com/concord-suite/concord/proto/gen/concord/sync/v1"
)

// bareGateway, when it is set, makes this program a gateway and nothing else: the generated handlers in front of the gRPC
// address it holds, which pass on the Authorization header as it comes. It is what the suite's gateway is compared with, in a process of its own as that one is.
const bareGateway = "LOAD_BARE_GATEWAY"

// serveBareGateway serves until its standard input ends.
func serveBareGateway(backend string) int {
	mux := runtime.NewServeMux()
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if err := syncv1.RegisterClientServiceHandlerFromEndpoint(context.Background(), mux, backend, options); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("http://" + lis.Addr().String())
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		_ = lis.Close()
	}()
	_ = http.Serve(lis, mux) // ends with its listener
	return 0
}

// startBareGateway starts one in front of a backend, and answers its address and process.
func startBareGateway(b *testing.B, backend string) (url string, pid int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), bareGateway+"="+backend)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(b, err)
	return strings.TrimSpace(line), cmd.Process.Pid
}
