//! Third-party servers as processes of a test: s3s-fs (S3), Azurite (Azure's blobs) and nginx.
//!
//! `.ci/servers` installs them. They are searched in `$BONFIRE_SERVERS`, by default the folder of
//! `.ci/servers`, and in the search path. The tests of a missing server are skipped, or fail with
//! `BONFIRE_REQUIRE_SERVERS=1`.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The name and the secret of the S3 server's user.
pub const USER: (&str, &str) = ("nobody", "hunter2");

/// A server's process, killed when dropped, even by a panic.
pub struct Server {
    process: Child,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended cannot be killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// s3s-fs: the folders of `root` are its buckets.
    pub fn s3(root: &Path) -> Option<Self> {
        let program = find("s3s-fs", "bin")?;
        Some(Server::start(|port| {
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--access-key", USER.0, "--secret-key", USER.1]).arg(root);
            command
        }))
    }

    /// Azurite with an empty `container`, or with one that holds `folder` under its name.
    pub fn azure(root: &Path, container: &str, folder: Option<&Path>) -> Option<Self> {
        let program = find("azurite-blob", "node_modules/.bin")?;
        let server = Server::start(|port| {
            let mut command = Command::new(&program);
            command
                .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string(), "--location"])
                .arg(root);
            command.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]);
            command
        });
        let mut filled = Command::new("node");
        filled.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/azure.js"));
        filled.args([&server.port.to_string(), container]).args(folder);
        assert!(filled.status().unwrap().success());
        Some(server)
    }

    /// nginx for the files of `root`; its own files go to `scratch`.
    pub fn nginx(root: &Path, scratch: &Path) -> Option<Self> {
        let program = find("nginx", "sbin")?;
        std::fs::create_dir_all(scratch).unwrap();
        let (root, scratch) = (root.display(), scratch.display());
        Some(Server::start(|port| {
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {scratch}/{kind};\n"))
                .concat();
            let configuration = format!(
                "daemon off;\nmaster_process off;\npid {scratch}/pid;\nerror_log stderr crit;\nevents {{}}\n\
                 http {{\naccess_log off;\n{temporary}\
                 server {{ listen 127.0.0.1:{port}; location / {{ root {root}; }} }}\n}}\n"
            );
            let path = format!("{scratch}/nginx.conf");
            std::fs::write(&path, configuration).unwrap();
            let mut command = Command::new(&program);
            command.args(["-p", &scratch.to_string(), "-e", "stderr", "-c", &path]);
            command
        }))
    }

    /// Starts a server on a free port, and waits until the port is open.
    fn start(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = command(port).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
            let mut server = Server { process, port };
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(30) {
                // If another process took the port meanwhile, this one ends.
                if server.process.try_wait().unwrap().is_some() {
                    break;
                }
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return server;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("{:?} does not listen", command(0));
    }
}

/// The path of a server's program, below `folder` of the installed ones or in the search path.
fn find(name: &str, folder: &str) -> Option<PathBuf> {
    let installed = std::env::var_os("BONFIRE_SERVERS").map(PathBuf::from);
    let installed = installed
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/bonfire-ci/servers")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        installed.map(|installed| installed.join(folder)).into_iter().chain(std::env::split_paths(&path));
    let found = places.chain(["/usr/sbin".into()]).map(|place| place.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var_os("BONFIRE_REQUIRE_SERVERS").is_some_and(|value| value == "1");
        assert!(!required, "expected the program {name}, which `.ci/servers` installs, found none");
        eprintln!("left out: the program {name} is not installed (`.ci/servers` installs it)");
    }
    found
}
