//! An HTTP proxy before a real server. It fails on purpose.
//!
//! ```text
//! client -> proxy -> server      one connection to the server for each request
//! ```

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The faults, each at every n-th request; 0 means never.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// The connection is closed in the middle of the answer.
    pub cut: u64,
    /// The answer is 500, and the server never sees the request.
    pub error: u64,
    /// The answer comes late.
    pub delay: u64,
    /// The answer stops at its beginning or in its middle, and the connection stays open.
    pub stall: u64,
    /// The answer to every request, which the server never sees: the end of a status line, and a body.
    pub refuse: Option<(&'static str, &'static str)>,
}

/// A proxy, which lives as long as the process.
pub struct Proxy {
    pub port: u16,
    requests: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy for the server on port `server` of this machine.
    pub fn start(server: u16, faults: Faults) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let proxy = Proxy { port, requests: requests.clone(), failed: failed.clone() };
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (requests, failed) = (requests.clone(), failed.clone());
                // A client that leaves ends its own thread only.
                std::thread::spawn(move || relay(&connection, server, faults, &requests, &failed));
            }
        });
        proxy
    }

    /// The number of requests so far, and of those that failed on purpose.
    pub fn requests(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

fn relay(
    client: &TcpStream,
    server: u16,
    faults: Faults,
    requests: &AtomicU64,
    failed: &AtomicU64,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut reader = BufReader::new(client);
    let mut out = client;
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let (name, value) = line.split_once(':').unwrap_or((line.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "" => break,
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "connection" => continue,
            _ => {}
        }
        head += &line;
    }
    let mut body = Vec::new();
    reader.by_ref().take(length).read_to_end(&mut body)?;

    let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
    let due = |every: u64| every > 0 && number.is_multiple_of(every);
    let fails = |due: bool| {
        failed.fetch_add(u64::from(due), Ordering::Relaxed);
        due
    };
    if due(faults.delay) {
        std::thread::sleep(Duration::from_millis(60));
    }
    if let Some((status, body)) = faults.refuse {
        let length = body.len();
        return write!(
            out,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
    }
    if fails(due(faults.error)) {
        return out.write_all(
            b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let stalls = fails(due(faults.stall));
    if stalls && (number / faults.stall).is_multiple_of(2) {
        return until_closed(client);
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server))?;
    upstream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    if stalls {
        out.write_all(&answer[..answer.len() / 2])?;
        return until_closed(client);
    }
    if fails(due(faults.cut)) {
        out.write_all(&answer[..answer.len() / 2])?;
        return client.shutdown(Shutdown::Both);
    }
    out.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}

/// Sends nothing more, and waits until the client closes the connection.
fn until_closed(mut client: &TcpStream) -> io::Result<()> {
    let mut ignored = [0; 64];
    while client.read(&mut ignored)? > 0 {}
    Ok(())
}
