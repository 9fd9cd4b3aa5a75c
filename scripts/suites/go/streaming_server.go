// The bridge between the Go tests and an executable, as nats_server.go, for the streaming server: RunServerWithOpts, which
// go_module.ts has renamed, becomes a process of the nats-streaming-server found on PATH.
package server

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

type bridgeProcess struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

var (
	bridgeMu        sync.Mutex
	bridgeProcesses = map[*StanServer]*bridgeProcess{}
	bridgeEnd       = regexp.MustCompile(`\[FTL\] (.*)`)
)

func bridgeArguments(o *Options, n *server.Options) []string {
	normal := GetDefaultOptions()
	args := []string{"-cid", o.ID}
	if o.NATSServerURL != "" {
		args = append(args, "-ns", o.NATSServerURL)
	} else {
		args = append(args, "-a", n.Host, "-p", strconv.Itoa(n.Port))
	}
	number := func(flag string, value, was int64) {
		if value != was {
			args = append(args, flag, strconv.FormatInt(value, 10))
		}
	}
	number("-mc", int64(o.MaxChannels), int64(normal.MaxChannels))
	number("-msu", int64(o.MaxSubscriptions), int64(normal.MaxSubscriptions))
	number("-mm", int64(o.MaxMsgs), int64(normal.MaxMsgs))
	number("-mb", o.MaxBytes, normal.MaxBytes)
	if o.MaxAge != normal.MaxAge {
		args = append(args, "-ma", o.MaxAge.String())
	}
	if o.ClientHBInterval != normal.ClientHBInterval {
		args = append(args, "-hbi", o.ClientHBInterval.String())
	}
	if o.ClientHBTimeout != normal.ClientHBTimeout {
		args = append(args, "-hbt", o.ClientHBTimeout.String())
	}
	number("-hbf", int64(o.ClientHBFailCount), int64(normal.ClientHBFailCount))
	return args
}

// RunServerWithOpts starts a process and waits until it says that it is ready; its last words are the error.
func RunServerWithOpts(stanOpts *Options, natsOpts *server.Options) (*StanServer, error) {
	if stanOpts == nil {
		stanOpts = GetDefaultOptions()
	}
	if natsOpts == nil {
		natsOpts = &DefaultNatsServerOptions
	}
	cmd := exec.Command("nats-streaming-server", bridgeArguments(stanOpts, natsOpts)...)
	// If the test is killed, the server goes with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &bridgeProcess{cmd: cmd, exited: make(chan struct{})}
	ready := make(chan struct{})
	var said []string
	go func() {
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		isReady := false
		for lines.Scan() {
			if os.Getenv("SUITE_LOG") != "" {
				fmt.Fprintln(os.Stderr, lines.Text())
			}
			if !isReady {
				said = append(said, lines.Text())
				if strings.Contains(lines.Text(), "Streaming Server is ready") {
					isReady = true
					close(ready)
				}
			}
		}
		cmd.Wait()
		close(p.exited)
	}()
	select {
	case <-ready:
	case <-p.exited:
		text := strings.Join(said, "\n  ")
		if m := bridgeEnd.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		return nil, errors.New(text)
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-p.exited
		return nil, fmt.Errorf("bridge: not ready within 20 s: %s", strings.Join(said, "\n  "))
	}
	s := &StanServer{opts: stanOpts.Clone(), natsOpts: natsOpts.Clone()}
	bridgeMu.Lock()
	bridgeProcesses[s] = p
	bridgeMu.Unlock()
	return s, nil
}

// Shutdown ends the process orderly and waits for it.
func (s *StanServer) Shutdown() {
	bridgeMu.Lock()
	p := bridgeProcesses[s]
	bridgeMu.Unlock()
	if p == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		fmt.Fprintln(os.Stderr, "bridge: nats-streaming-server did not end within 10 s")
		p.cmd.Process.Kill()
		<-p.exited
	}
}
