//! The helper that the tests of async-nats start their servers with, written anew for an executable found on PATH: the
//! package itself is not published. What it promises: a server is ready when a function returns, and gone when dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

static COUNT: AtomicUsize = AtomicUsize::new(0);
const READY_MAX: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    child: Child,
    address: String,
    pid_file: PathBuf,
    folder: PathBuf,
}

impl Server {
    /// Where clients connect; the scheme says whether they must use TLS.
    pub fn client_url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The port alone.
    pub fn client_port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// The process, as its own file says.
    pub fn client_pid(&self) -> usize {
        std::fs::read_to_string(&self.pid_file).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server without a configuration file.
pub fn run_basic_server() -> Server {
    run_server("")
}

/// A server with a configuration file of the tests, on a port of the system's choice.
pub fn run_server(config: &str) -> Server {
    run_server_with_port(config, None)
}

/// The same on a given port.
pub fn run_server_with_port(config: &str, port: Option<&str>) -> Server {
    let number = COUNT.fetch_add(1, Ordering::SeqCst);
    let folder = std::env::temp_dir().join(format!("nats-suite-{}-{}", std::process::id(), number));
    std::fs::create_dir_all(&folder).unwrap();
    let pid_file = folder.join("pid");
    let mut command = Command::new("nats-server");
    command.args(["-p", port.unwrap_or("-1"), "-P"]).arg(&pid_file);
    if !config.is_empty() {
        command.arg("-c").arg(Path::new(env!("SUITE_FOLDER")).join(config));
    }
    let mut child = command.current_dir(env!("SUITE_FOLDER")).stderr(Stdio::piped()).spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let (sender, receiver) = mpsc::channel();
    // It goes on to the end: a server that cannot write its log would stand still.
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut said = String::new();
    let mut address = None;
    loop {
        let line = match receiver.recv_timeout(READY_MAX) {
            Ok(line) => line,
            Err(_) => panic!("nats-server did not become ready: {said}"),
        };
        said.push_str(&line);
        said.push('\n');
        if let Some((_, rest)) = line.split_once("client connections on ") {
            address = Some(rest.replace("0.0.0.0", "localhost").to_string());
        }
        if line.contains("Server is ready") {
            break;
        }
    }
    let address = address.unwrap_or_else(|| panic!("nats-server named no port: {said}"));
    Server { child, address, pid_file, folder }
}

/// Asks a server to send its clients away, by its own command line.
pub fn set_lame_duck_mode(server: &Server) {
    let signal = format!("ldm={}", server.client_pid());
    let status = Command::new("nats-server").args(["--signal", &signal]).status().unwrap();
    assert!(status.success(), "--signal {signal}: {status}");
}
