// The bridge between the Go tests and an executable: this file joins a copy of the server package whose own Start,
// Shutdown and questions about listeners were renamed by go_module.ts. A Server made by the package's NewServer, which
// still checks its options, becomes a process of the nats-server found on PATH. What the tests ask the process itself is
// answered from its log and its monitoring pages; what looks inside the library still finds an idle server there.
package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process behind a Server.
type bridgeProcess struct {
	mu      sync.Mutex
	cmd     *exec.Cmd
	folder  string
	config  string
	lines   []string
	changed chan struct{}
	exited  chan struct{}
	ready   bool
}

var (
	bridgeMu        sync.Mutex
	bridgeProcesses = map[*Server]*bridgeProcess{}
)

func bridgeOf(s *Server) *bridgeProcess {
	bridgeMu.Lock()
	defer bridgeMu.Unlock()
	p := bridgeProcesses[s]
	if p == nil {
		p = &bridgeProcess{changed: make(chan struct{}), exited: make(chan struct{})}
		bridgeProcesses[s] = p
	}
	return p
}

func (p *bridgeProcess) add(line string) {
	p.mu.Lock()
	p.lines = append(p.lines, line)
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
}

// The first match from line number `from` on; waits for it until the process ends or the time is over.
func (p *bridgeProcess) await(re *regexp.Regexp, from int, limit time.Duration) []string {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		for ; from < len(p.lines); from++ {
			if m := re.FindStringSubmatch(p.lines[from]); m != nil {
				p.mu.Unlock()
				return m
			}
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.exited:
			return nil
		case <-timer.C:
			return nil
		}
	}
}

func (p *bridgeProcess) lineCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.lines)
}

// The latest address that a line of the log names.
func (p *bridgeProcess) address(what string) *net.TCPAddr {
	re := regexp.MustCompile(what + ` (?:\w+://)?(.+):(\d+)$`)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.lines) - 1; i >= 0; i-- {
		if m := re.FindStringSubmatch(p.lines[i]); m != nil {
			port, _ := strconv.Atoi(m[2])
			return &net.TCPAddr{IP: net.ParseIP(strings.Trim(m[1], "[]")), Port: port}
		}
	}
	return nil
}

func bridgeQuote(text string) string {
	b, _ := json.Marshal(text)
	return string(b)
}

// A value of the configuration language; JSON is part of it.
func bridgeJSON(value interface{}) string {
	b, _ := json.Marshal(value)
	return string(b)
}

func bridgePermissions(p *Permissions) map[string]interface{} {
	out := map[string]interface{}{}
	side := func(name string, s *SubjectPermission) {
		if s == nil {
			return
		}
		one := map[string]interface{}{}
		if s.Allow != nil {
			one["allow"] = s.Allow
		}
		if s.Deny != nil {
			one["deny"] = s.Deny
		}
		out[name] = one
	}
	side("publish", p.Publish)
	side("subscribe", p.Subscribe)
	if p.Response != nil {
		out["allow_responses"] = map[string]interface{}{"max": p.Response.MaxMsgs, "expires": p.Response.Expires.String()}
	}
	return out
}

func bridgeUsers(users []*User, nkeys []*NkeyUser) []map[string]interface{} {
	// Not nil: that would be written as null.
	out := []map[string]interface{}{}
	for _, u := range users {
		one := map[string]interface{}{"user": u.Username, "password": u.Password}
		if u.Permissions != nil {
			one["permissions"] = bridgePermissions(u.Permissions)
		}
		out = append(out, one)
	}
	for _, u := range nkeys {
		one := map[string]interface{}{"nkey": u.Nkey}
		if u.Permissions != nil {
			one["permissions"] = bridgePermissions(u.Permissions)
		}
		out = append(out, one)
	}
	return out
}

func bridgeTLS(t *TLSConfigOpts) string {
	lines := []string{"{"}
	add := func(key string, value interface{}) { lines = append(lines, key+": "+bridgeJSON(value)) }
	if t.CertFile != "" {
		add("cert_file", t.CertFile)
	}
	if t.KeyFile != "" {
		add("key_file", t.KeyFile)
	}
	if t.CaFile != "" {
		add("ca_file", t.CaFile)
	}
	if t.Verify {
		add("verify", true)
	}
	if t.Map {
		add("verify_and_map", true)
	}
	if t.Timeout != 0 {
		add("timeout", t.Timeout)
	}
	return strings.Join(append(lines, "}"), "\n")
}

func bridgePort(port int) int {
	if port == 0 {
		return -1
	}
	return port
}

// The options as a configuration file.
func bridgeConfig(o *Options) string {
	var b strings.Builder
	add := func(key string, value interface{}) { fmt.Fprintf(&b, "%s: %s\n", key, bridgeJSON(value)) }
	text := func(key, value string) {
		if value != "" {
			add(key, value)
		}
	}
	number := func(key string, value, normal int64) {
		if value != 0 && value != normal {
			add(key, value)
		}
	}
	text("host", o.Host)
	// NewServer has turned "any port" into 0.
	add("port", bridgePort(o.Port))
	text("server_name", o.ServerName)
	text("client_advertise", o.ClientAdvertise)
	number("max_connections", int64(o.MaxConn), DEFAULT_MAX_CONNECTIONS)
	number("max_subscriptions", int64(o.MaxSubs), 0)
	number("max_subscription_tokens", int64(o.MaxSubTokens), 0)
	number("max_control_line", int64(o.MaxControlLine), MAX_CONTROL_LINE_SIZE)
	number("max_payload", int64(o.MaxPayload), MAX_PAYLOAD_SIZE)
	number("max_pending", o.MaxPending, MAX_PENDING_SIZE)
	number("ping_max", int64(o.MaxPingsOut), DEFAULT_PING_MAX_OUT)
	if o.PingInterval != 0 && o.PingInterval != DEFAULT_PING_INTERVAL {
		add("ping_interval", o.PingInterval.String())
	}
	if o.WriteDeadline != 0 && o.WriteDeadline != DEFAULT_FLUSH_DEADLINE {
		add("write_deadline", o.WriteDeadline.String())
	}
	if o.LameDuckDuration != 0 && o.LameDuckDuration != DEFAULT_LAME_DUCK_DURATION {
		add("lame_duck_duration", o.LameDuckDuration.String())
	}
	if o.NoHeaderSupport {
		add("no_header_support", true)
	}
	if o.HTTPPort != 0 {
		host := o.HTTPHost
		if host == "" {
			host = "127.0.0.1"
		}
		add("http", fmt.Sprintf("%s:%d", host, o.HTTPPort))
	} else if o.HTTPSPort != 0 {
		add("https", fmt.Sprintf("%s:%d", o.HTTPHost, o.HTTPSPort))
	} else {
		// The counts that tests ask for are read from there.
		add("http", "127.0.0.1:-1")
	}
	text("http_base_path", o.HTTPBasePath)
	text("pid_file", o.PidFile)
	text("ports_file_dir", o.PortsFileDir)
	if o.Debug {
		add("debug", true)
	}
	if o.Trace {
		add("trace", true)
	}
	if o.JetStream {
		b.WriteString("jetstream: {}\n")
	}
	auth := map[string]interface{}{}
	if o.Username != "" {
		auth["user"], auth["password"] = o.Username, o.Password
	}
	if o.Authorization != "" {
		auth["token"] = o.Authorization
	}
	if o.AuthTimeout != 0 && o.AuthTimeout != getDefaultAuthTimeout(o.TLSConfig, o.TLSTimeout) {
		auth["timeout"] = o.AuthTimeout
	}
	accounts := map[string]interface{}{}
	for _, a := range o.Accounts {
		var users []*User
		for _, u := range o.Users {
			if u.Account == a {
				users = append(users, u)
			}
		}
		accounts[a.Name] = map[string]interface{}{"users": bridgeUsers(users, nil)}
	}
	if len(accounts) > 0 {
		add("accounts", accounts)
	} else if users := bridgeUsers(o.Users, o.Nkeys); len(users) > 0 {
		auth["users"] = users
	}
	if len(auth) > 0 {
		add("authorization", auth)
	}
	text("no_auth_user", o.NoAuthUser)
	if o.tlsConfigOpts != nil {
		fmt.Fprintf(&b, "tls %s\n", bridgeTLS(o.tlsConfigOpts))
	} else if o.TLSCert != "" {
		fmt.Fprintf(&b, "tls %s\n", bridgeTLS(&TLSConfigOpts{
			CertFile: o.TLSCert, KeyFile: o.TLSKey, CaFile: o.TLSCaCert, Verify: o.TLSVerify, Timeout: o.TLSTimeout,
		}))
	}
	if o.AllowNonTLS {
		add("allow_non_tls", true)
	}
	if o.Cluster.Port != 0 || len(o.Routes) > 0 {
		fmt.Fprintf(&b, "cluster {\n")
		text("name", o.Cluster.Name)
		if o.Cluster.Port != 0 {
			host := o.Cluster.Host
			if host == "" {
				host = "127.0.0.1"
			}
			add("listen", fmt.Sprintf("%s:%d", host, o.Cluster.Port))
		}
		text("cluster_advertise", o.Cluster.Advertise)
		if o.Cluster.NoAdvertise {
			add("no_advertise", true)
		}
		number("connect_retries", int64(o.Cluster.ConnectRetries), 0)
		if o.Cluster.Username != "" {
			cluster := map[string]interface{}{"user": o.Cluster.Username, "password": o.Cluster.Password}
			if o.Cluster.AuthTimeout != 0 {
				cluster["timeout"] = o.Cluster.AuthTimeout
			}
			add("authorization", cluster)
		}
		if o.Cluster.tlsConfigOpts != nil {
			fmt.Fprintf(&b, "tls %s\n", bridgeTLS(o.Cluster.tlsConfigOpts))
		}
		var routes []string
		for _, u := range o.Routes {
			routes = append(routes, u.String())
		}
		if routes != nil {
			add("routes", routes)
		}
		fmt.Fprintf(&b, "}\n")
	}
	if o.LeafNode.Port != 0 || len(o.LeafNode.Remotes) > 0 {
		fmt.Fprintf(&b, "leafnodes {\n")
		if o.LeafNode.Port != 0 {
			host := o.LeafNode.Host
			if host == "" {
				host = "127.0.0.1"
			}
			add("listen", fmt.Sprintf("%s:%d", host, o.LeafNode.Port))
		}
		var remotes []map[string]interface{}
		for _, r := range o.LeafNode.Remotes {
			var urls []string
			for _, u := range r.URLs {
				urls = append(urls, u.String())
			}
			one := map[string]interface{}{"urls": urls}
			if r.LocalAccount != "" {
				one["account"] = r.LocalAccount
			}
			remotes = append(remotes, one)
		}
		if remotes != nil {
			add("remotes", remotes)
		}
		fmt.Fprintf(&b, "}\n")
	}
	if o.Websocket.Port != 0 {
		fmt.Fprintf(&b, "websocket {\n")
		host := o.Websocket.Host
		if host == "" {
			host = "127.0.0.1"
		}
		add("listen", fmt.Sprintf("%s:%d", host, o.Websocket.Port))
		if o.Websocket.NoTLS {
			add("no_tls", true)
		}
		if o.Websocket.Compression {
			add("compression", true)
		}
		if o.Websocket.tlsConfigOpts != nil {
			fmt.Fprintf(&b, "tls %s\n", bridgeTLS(o.Websocket.tlsConfigOpts))
		}
		fmt.Fprintf(&b, "}\n")
	}
	return b.String()
}

// Arguments for the options: the test's own file, or one that says the same if the test has changed them since.
func (p *bridgeProcess) arguments(o *Options) ([]string, error) {
	text := bridgeConfig(o)
	if o.ConfigFile != "" {
		was, err := ProcessConfigFile(o.ConfigFile)
		if err != nil {
			return nil, err
		}
		setBaselineOptions(was)
		if bridgeConfig(was) == text {
			p.config = o.ConfigFile
			args := []string{"-c", o.ConfigFile}
			if o.HTTPPort == 0 && o.HTTPSPort == 0 {
				args = append(args, "-m", "-1")
			}
			return args, nil
		}
	}
	p.config = p.folder + "/nats.conf"
	return []string{"-c", p.config}, os.WriteFile(p.config, []byte(text), 0o600)
}

var (
	bridgeReady = regexp.MustCompile(`\[INF\] Server is ready`)
	bridgeID    = regexp.MustCompile(`\[INF\]\s+ID:\s+(\S+)`)
	bridgeName  = regexp.MustCompile(`\[INF\]\s+Name:\s+(\S+)`)
)

// Start runs the executable until it ends, as the library's Start runs its accept loop.
func (s *Server) Start() {
	p := bridgeOf(s)
	if err := p.start(s); err != nil {
		p.add("bridge: " + err.Error())
		close(p.exited)
		return
	}
	<-p.exited
}

func (p *bridgeProcess) start(s *Server) error {
	o := s.getOpts()
	folder, err := os.MkdirTemp("", "nats-suite-")
	if err != nil {
		return err
	}
	p.folder = folder
	args, err := p.arguments(o)
	if err != nil {
		return err
	}
	cmd := exec.Command("nats-server", args...)
	// If the test is killed, the server goes with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.cmd = cmd
	p.mu.Unlock()
	go func() {
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if os.Getenv("SUITE_LOG") != "" {
				fmt.Fprintln(os.Stderr, lines.Text())
			}
			p.add(lines.Text())
		}
		io.Copy(io.Discard, stderr)
		cmd.Wait()
		os.RemoveAll(folder)
		close(p.exited)
	}()
	return nil
}

// ReadyForConnections waits for the executable's own word.
func (s *Server) ReadyForConnections(limit time.Duration) bool {
	p := bridgeOf(s)
	if p.await(bridgeReady, 0, limit) == nil {
		fmt.Fprintf(os.Stderr, "bridge: nats-server is not ready: %s\n", strings.Join(p.lines, "\n  "))
		return false
	}
	o := s.getOpts()
	// Some listeners open after that word.
	listener := func(what string, port *int) bool {
		if *port == 0 && what != "client connections" {
			return true
		}
		p.await(regexp.MustCompile("Listening for "+what+" on"), 0, limit)
		a := p.address("Listening for " + what + " on")
		if a == nil {
			fmt.Fprintf(os.Stderr, "bridge: nats-server does not listen for %s\n", what)
			return false
		}
		*port = a.Port
		return true
	}
	if !listener("client connections", &o.Port) || !listener("route connections", &o.Cluster.Port) ||
		!listener("leafnode connections", &o.LeafNode.Port) || !listener("websocket clients", &o.Websocket.Port) {
		return false
	}
	s.mu.Lock()
	if m := p.await(bridgeID, 0, time.Second); m != nil {
		s.info.ID = m[1]
		s.info.Name = m[1]
	}
	if m := p.await(bridgeName, 0, time.Second); m != nil {
		s.info.Name = m[1]
	}
	s.mu.Unlock()
	p.mu.Lock()
	p.ready = true
	p.mu.Unlock()
	return true
}

// Running tells whether the process is there.
func (s *Server) Running() bool {
	p := bridgeOf(s)
	select {
	case <-p.exited:
		return false
	default:
		return p.ready
	}
}

// Shutdown ends the process orderly and waits for it.
func (s *Server) Shutdown() {
	if s == nil {
		return
	}
	p := bridgeOf(s)
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		fmt.Fprintln(os.Stderr, "bridge: nats-server did not end within 10 s")
		cmd.Process.Kill()
		<-p.exited
	}
}

// WaitForShutdown waits for the end of the process.
func (s *Server) WaitForShutdown() {
	<-bridgeOf(s).exited
}

// Addr is where clients connect.
func (s *Server) Addr() net.Addr {
	if a := bridgeOf(s).address("Listening for client connections on"); a != nil {
		return a
	}
	return nil
}

// MonitorAddr is where the monitoring pages are.
func (s *Server) MonitorAddr() *net.TCPAddr {
	return bridgeOf(s).address("Starting https? monitor on")
}

// ClusterAddr is where routes connect.
func (s *Server) ClusterAddr() *net.TCPAddr {
	return bridgeOf(s).address("Listening for route connections on")
}

// Signals of the test process are not for the library's server.
func (s *Server) handleSignals() {}

func (s *Server) bridgePage(page string, into interface{}) error {
	a := s.MonitorAddr()
	if a == nil {
		return fmt.Errorf("bridge: no monitoring port")
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", a.Port, page))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("bridge: %s answered %s", page, answer.Status)
	}
	return json.NewDecoder(answer.Body).Decode(into)
}

// Varz is the page of that name.
func (s *Server) Varz(*VarzOptions) (*Varz, error) {
	v := &Varz{}
	return v, s.bridgePage("/varz", v)
}

// Routez is the page of that name.
func (s *Server) Routez(o *RoutezOptions) (*Routez, error) {
	r := &Routez{}
	query := ""
	if o != nil && o.Subscriptions {
		query = "?subs=1"
	}
	return r, s.bridgePage("/routez"+query, r)
}

func (s *Server) bridgeVarz() *Varz {
	v, err := s.Varz(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return &Varz{Connections: -1, Routes: -1, Remotes: -1, Leafs: -1, SlowConsumers: -1}
	}
	return v
}

// NumClients counts client connections.
func (s *Server) NumClients() int { return s.bridgeVarz().Connections }

// NumRoutes counts route connections.
func (s *Server) NumRoutes() int { return s.bridgeVarz().Routes }

// NumRemotes counts servers on the other side of routes.
func (s *Server) NumRemotes() int { return s.bridgeVarz().Remotes }

// NumLeafNodes counts leaf connections.
func (s *Server) NumLeafNodes() int { return s.bridgeVarz().Leafs }

// NumSubscriptions counts subscriptions of clients and routes.
func (s *Server) NumSubscriptions() uint32 { return s.bridgeVarz().Subscriptions }

// NumSlowConsumers counts clients that were cut.
func (s *Server) NumSlowConsumers() int64 { return s.bridgeVarz().SlowConsumers }

var bridgeReloaded = regexp.MustCompile(`\[INF\] Reloaded server configuration|\[ERR\] (Failed to reload .*)`)

// Reload asks the process to read its file again and waits for its word on it.
func (s *Server) Reload() error {
	p := bridgeOf(s)
	from := p.lineCount()
	p.cmd.Process.Signal(syscall.SIGHUP)
	m := p.await(bridgeReloaded, from, 5*time.Second)
	if m == nil {
		return fmt.Errorf("bridge: no word about the reload")
	}
	if m[1] != "" {
		return fmt.Errorf("%s", m[1])
	}
	return nil
}

// ReloadOptions writes the options where the process reads them and asks it to reload.
func (s *Server) ReloadOptions(o *Options) error {
	p := bridgeOf(s)
	if p.config == s.getOpts().ConfigFile {
		return fmt.Errorf("bridge: options of a server with a file of its own cannot be changed")
	}
	next := o.Clone()
	if next.Port == 0 || next.Port == RANDOM_PORT {
		next.Port = s.getOpts().Port
	}
	if err := os.WriteFile(p.config, []byte(bridgeConfig(next)), 0o600); err != nil {
		return err
	}
	return s.Reload()
}
