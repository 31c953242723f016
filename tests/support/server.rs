//! A small HTTP server for a folder's files. It also answers S3 clients that get, head and put objects by
//! path (`/bucket/key`). It fails on purpose.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The faults, each at every n-th request; 0 means never.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// The connection is closed in the middle of the body.
    pub cut: u64,
    /// The answer is 500.
    pub error: u64,
    /// The answer comes late.
    pub delay: u64,
    /// Answers do not name the object's version (ETag).
    pub no_etag: bool,
}

/// A server, which lives as long as the process.
pub struct Server {
    pub address: String,
    faults: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Server {
    /// Starts a server for `root` on a free port of this machine.
    pub fn start(root: &Path, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (requests, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let server = Server { address, faults: requests.clone(), failed: failed.clone() };
        let root = root.to_path_buf();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (root, requests, failed) = (root.clone(), requests.clone(), failed.clone());
                // A client that leaves ends its own thread only.
                std::thread::spawn(move || serve(&connection, &root, faults, &requests, &failed));
            }
        });
        server
    }

    /// The number of requests so far, and of those that failed on purpose.
    pub fn requests(&self) -> (u64, u64) {
        (self.faults.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

fn serve(
    connection: &TcpStream,
    root: &Path,
    faults: Faults,
    requests: &AtomicU64,
    failed: &AtomicU64,
) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    let mut out = connection;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split(' ');
        let (method, target) =
            (words.next().unwrap_or("").to_string(), words.next().unwrap_or("/").to_string());
        let (mut range, mut length) = (None, 0);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "range" => range = value.trim().strip_prefix("bytes=").map(str::to_string),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;

        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let due = |every: u64| every > 0 && number.is_multiple_of(every);
        if due(faults.delay) {
            std::thread::sleep(Duration::from_millis(40));
        }
        if due(faults.error) {
            failed.fetch_add(1, Ordering::Relaxed);
            out.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let path: PathBuf = root.join(target.split('?').next().unwrap_or("").trim_start_matches('/'));
        if method == "PUT" {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(&path, &body)?;
            out.write_all(b"HTTP/1.1 200 OK\r\nETag: \"put\"\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        }
        let Ok(content) = fs::read(&path) else {
            out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            continue;
        };
        let mut head = match &range {
            None => "HTTP/1.1 200 OK\r\n".to_string(),
            Some(_) => "HTTP/1.1 206 Partial Content\r\n".to_string(),
        };
        let (begin, end) = match range.as_deref().and_then(|range| range.split_once('-')) {
            None => (0, content.len()),
            Some(("", last)) => (content.len().saturating_sub(last.parse().unwrap_or(0)), content.len()),
            Some((first, last)) => {
                let last = last.parse::<usize>().map_or(content.len(), |last| (last + 1).min(content.len()));
                (first.parse().unwrap_or(0), last)
            }
        };
        let part = &content[begin.min(end)..end];
        if range.is_some() {
            head += &format!("Content-Range: bytes {begin}-{}/{}\r\n", end.saturating_sub(1), content.len());
        }
        if !faults.no_etag {
            head += &format!(
                "ETag: \"{}-{}\"\r\n",
                content.len(),
                content.iter().map(|b| u64::from(*b)).sum::<u64>()
            );
        }
        head += "Last-Modified: Sun, 01 Mar 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n";
        head += &format!("Content-Length: {}\r\n\r\n", part.len());
        out.write_all(head.as_bytes())?;
        if method == "HEAD" {
            continue;
        }
        if due(faults.cut) && part.len() > 1 {
            failed.fetch_add(1, Ordering::Relaxed);
            out.write_all(&part[..part.len() / 2])?;
            return connection.shutdown(std::net::Shutdown::Both);
        }
        out.write_all(part)?;
    }
}
