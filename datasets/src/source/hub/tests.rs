//! A small Hub and a storage beside it, on loopback.

use super::*;
use crate::source::remote::wait;
use object_store::{BackoffConfig, GetRange, ObjectStoreExt};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;

/// A request as a server sees it: its method, its target, and its headers, their names in lower case.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Status line, headers and body.
type Told = (&'static str, Vec<(&'static str, String)>, Vec<u8>);

/// A server of this process, which lives as long as it, and what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    fn start(answer: impl Fn(&Asked) -> Told + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (asked, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = asked.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || -> std::io::Result<()> {
                    let mut reader = BufReader::new(&connection);
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line)? == 0 {
                            return Ok(());
                        }
                        let mut words = line.split(' ').map(str::to_string);
                        let (method, target) = (words.next().unwrap(), words.next().unwrap());
                        let mut headers = Vec::new();
                        loop {
                            let mut header = String::new();
                            reader.read_line(&mut header)?;
                            let Some((name, value)) = header.trim().split_once(':') else { break };
                            headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
                        }
                        let request = Asked { method, target, headers };
                        let (status, headers, mut body) = answer(&request);
                        let mut head = format!("HTTP/1.1 {status}\r\n");
                        let length = body.len();
                        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
                        head += &format!("Content-Length: {length}\r\n\r\n");
                        if request.method == "HEAD" {
                            body.clear();
                        }
                        log.lock().unwrap().push(request);
                        (&connection).write_all(&[head.as_bytes(), &body].concat())?;
                    }
                });
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// A body, or the range of it that is asked for.
fn content(asked: &Asked, etag: &str, body: &[u8]) -> Told {
    let etag = ("ETag", etag.to_string());
    let Some(range) = asked.header("range") else { return ("200 OK", vec![etag], body.to_vec()) };
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let last = last.min(body.len() - 1);
    let range = ("Content-Range", format!("bytes {first}-{last}/{}", body.len()));
    ("206 Partial Content", vec![etag, range], body[first..=last].to_vec())
}

const BIG: &[u8] = b"0123456789 in a storage elsewhere";

/// A data set `o/n` of a small file and a large one, for those who have the token `hf_secret`.
fn hub() -> (Server, Server) {
    let storage = Server::start(|asked| match asked.header("authorization") {
        None => content(asked, "\"of the storage\"", BIG),
        Some(_) => ("400 Bad Request", vec![], b"a token that is none of mine".to_vec()),
    });
    let elsewhere = storage.address.clone();
    let hub = Server::start(move |asked| {
        let code = |code: &str| vec![("X-Error-Code", code.to_string())];
        let refused = |status, name| (status, code(name), b"{\"error\": \"hf_secret\"}".to_vec());
        match asked.header("authorization") {
            Some("Bearer hf_secret") => {}
            Some("Bearer hf_outside") => return refused("403 Forbidden", "GatedRepo"),
            Some(_) => return refused("401 Unauthorized", ""),
            None => return refused("401 Unauthorized", "RepoNotFound"),
        }
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let page = |text: &str, next: Option<&str>| {
            let link = next.map(|next| ("Link", format!("<{next}>; rel=\"next\"")));
            ("200 OK", link.into_iter().collect(), text.as_bytes().to_vec())
        };
        match path {
            "/api/datasets/o/n/tree/main" if query == "recursive=true&expand=false" => page(
                r#"[{"type": "directory", "oid": "1", "size": 0, "path": "data"},
                    {"type": "file", "oid": "2", "size": 5, "path": "data/a b.csv"}]"#,
                Some("/api/datasets/o/n/tree/main?recursive=true&expand=false&cursor=x"),
            ),
            "/api/datasets/o/n/tree/main" => page(
                r#"[{"type": "file", "oid": "3", "size": 33, "path": "big.bin",
                     "lfs": {"oid": "of the hub", "size": 33, "pointerSize": 9}}]"#,
                None,
            ),
            "/api/datasets/o/n/tree/main/loop" => page("[]", Some(&asked.target)),
            "/api/datasets/o/n/tree/main/gone" => refused("404 Not Found", "EntryNotFound"),
            "/datasets/o/n/resolve/main/data/a%20b.csv" => content(asked, "W/\"2\"", b"n\n1\n2"),
            "/datasets/o/n/resolve/main/big.bin" => {
                let headers = vec![
                    ("Location", format!("{elsewhere}/signed?key=hunter2")),
                    ("X-Linked-Etag", "\"of the hub\"".to_string()),
                    ("X-Linked-Size", BIG.len().to_string()),
                ];
                ("302 Found", headers, Vec::new())
            }
            "/datasets/o/n/resolve/main/moved.bin" => (
                "307 Temporary Redirect",
                vec![("Location", "/datasets/o/n/resolve/main/big.bin".to_string())],
                vec![],
            ),
            "/datasets/o/n/resolve/main/around" => {
                ("302 Found", vec![("Location", asked.target.clone())], vec![])
            }
            "/datasets/o/n/resolve/refs%2Fconvert%2Fparquet/x" => content(asked, "\"r\"", b"parquet"),
            path if path.contains("/v9/") => refused("404 Not Found", "RevisionNotFound"),
            _ => refused("404 Not Found", "EntryNotFound"),
        }
    });
    (hub, storage)
}

fn opened(hub: &Server, name: &str, token: Option<&str>) -> Arc<dyn ObjectStore> {
    // As the way to a store does it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings::new(&format!("{}/", hub.address), token).unwrap();
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: SILENCE };
    Arc::new(Hub::new(name, settings, retry).unwrap())
}

fn read(store: &dyn ObjectStore, path: &str, options: GetOptions) -> Result<(Vec<u8>, Option<String>)> {
    wait(true, async {
        let result = store.get_opts(&ObjectPath::from(path), options).await?;
        let tag = result.meta.e_tag.clone();
        Ok((result.bytes().await?.to_vec(), tag))
    })
}

fn names(store: &dyn ObjectStore, prefix: &str) -> Result<Vec<(String, u64, Option<String>)>> {
    let prefix = ObjectPath::from(prefix);
    let found: Vec<ObjectMeta> = wait(true, store.list(Some(&prefix)).try_collect())?;
    Ok(found.into_iter().map(|meta| (meta.location.to_string(), meta.size, meta.e_tag)).collect())
}

#[test]
fn files_are_listed_page_by_page_and_read_by_ranges() {
    let (hub, _storage) = hub();
    let store = opened(&hub, "datasets/o/n", Some(" hf_secret\n"));
    let tag = |tag: &str| Some(format!("\"{tag}\""));
    assert_eq!(
        names(&*store, "").unwrap(),
        [("data/a b.csv".to_string(), 5, tag("2")), ("big.bin".to_string(), 33, tag("of the hub"))]
    );
    assert!(names(&*store, "gone").unwrap().is_empty());
    assert!(names(&*store, "loop").unwrap_err().to_string().contains("the same again"));

    let (bytes, version) = read(&*store, "data/a b.csv", GetOptions::default()).unwrap();
    assert_eq!((bytes.as_slice(), version), (&b"n\n1\n2"[..], tag("2")));
    let range = GetOptions { range: Some(GetRange::Bounded(2..4)), ..GetOptions::default() };
    assert_eq!(read(&*store, "data/a b.csv", range).unwrap().0, b"1\n");
    let convert = opened(&hub, "datasets/o/n@refs%2Fconvert%2Fparquet", Some("hf_secret"));
    assert_eq!(read(&*convert, "x", GetOptions::default()).unwrap().0, b"parquet");
}

#[test]
fn a_storage_elsewhere_gets_the_range_but_never_the_token() {
    let (hub, storage) = hub();
    let store = opened(&hub, "datasets/o/n", Some("hf_secret"));
    for path in ["big.bin", "moved.bin"] {
        let range = GetOptions { range: Some(GetRange::Bounded(3..7)), ..GetOptions::default() };
        let (bytes, version) = read(&*store, path, range).unwrap();
        assert_eq!((bytes.as_slice(), version.as_deref()), (&b"3456"[..], Some("\"of the hub\"")));
    }
    let asked = storage.asked();
    assert_eq!(asked.len(), 2);
    for asked in asked {
        assert_eq!(asked.header("range"), Some("bytes=3-6"));
        assert!(asked.header("authorization").is_none() && asked.target == "/signed?key=hunter2");
    }
    // The Hub knows size and version: an address that is signed for reading is not asked for them.
    let meta = wait(true, store.head(&ObjectPath::from("big.bin"))).unwrap();
    assert_eq!((meta.size, meta.e_tag.as_deref()), (33, Some("\"of the hub\"")));
    assert!(storage.asked().is_empty());
    // A body that goes on asks for the version that it began with.
    let version = |tag: &str| GetOptions { if_match: Some(tag.to_string()), ..GetOptions::default() };
    assert_eq!(read(&*store, "big.bin", version("\"of the hub\"")).unwrap().0, BIG);
    let changed = read(&*store, "big.bin", version("\"of yesterday\"")).unwrap_err().to_string();
    assert!(changed.contains("412") && !changed.contains("hunter2"), "{changed}");
    assert!(read(&*store, "around", GetOptions::default()).unwrap_err().to_string().contains("redirects"));
}

#[test]
fn refusals_are_told_in_words_and_without_secrets() {
    use crate::source::failure::{expected, found};
    let (hub, _storage) = hub();
    let told = |token, name: &str, path: &str| {
        let store = opened(&hub, name, token);
        let error = match path.strip_suffix('/') {
            Some(folder) => names(&*store, folder).unwrap_err(),
            None => read(&*store, path, GetOptions::default()).unwrap_err(),
        };
        assert!(!format!("{error:?} {error}").contains("hf_secret"), "{error:?}");
        format!("expected {}, found {}", expected(&error, "a file"), found(&error))
    };
    for path in ["big.bin", "data/"] {
        assert_eq!(
            told(None, "datasets/o/n", path),
            "expected credentials that may read it, found 401 Unauthorized: a private, gated or missing data set, \
             and no token: set HF_TOKEN"
        );
        let wrong = told(Some("hf_old"), "datasets/o/n", path);
        assert!(wrong.contains("401 Unauthorized: a token that the Hub does not know"), "{wrong}");
        let outside = told(Some("hf_outside"), "datasets/o/n", path);
        assert!(outside.contains("403 Forbidden: a gated data set"), "{outside}");
    }
    let gone = told(Some("hf_secret"), "datasets/o/n", "gone.csv");
    assert_eq!(gone, "expected a file, found nothing of that name");
    assert_eq!(
        told(Some("hf_secret"), "datasets/o/n@v9", "a.csv"),
        "expected a file, found no such revision"
    );
    let store = opened(&hub, "datasets/o/n", Some("hf_secret"));
    let written = wait(true, store.put(&ObjectPath::from("x"), "y".into())).unwrap_err();
    assert_eq!(found(&written), "the Hub, where nothing is written");
    assert!(!format!("{store:?}").contains("hf_secret"));
}

#[test]
fn a_hub_that_is_away_for_a_moment_is_asked_again() {
    let times = Arc::new(Mutex::new(0));
    let counted = times.clone();
    let hub = Server::start(move |_| {
        let mut times = counted.lock().unwrap();
        *times += 1;
        match *times {
            1 => ("503 Service Unavailable", vec![], vec![]),
            2 => ("429 Too Many Requests", vec![], vec![]),
            _ => ("200 OK", vec![], b"[{\"type\": \"file\", \"path\": \"a\", \"size\": 1}]".to_vec()),
        }
    });
    let store = opened(&hub, "datasets/o/n", None);
    assert_eq!(names(&*store, "").unwrap(), [("a".to_string(), 1, None)]);
}

#[test]
fn settings_are_those_of_the_hubs_own_library() {
    assert!(Settings::new("no url", None).unwrap_err().to_string().contains("HF_ENDPOINT"));
    assert!(Settings::new(ENDPOINT, Some("a\nb")).unwrap_err().to_string().contains("HF_TOKEN"));
    let settings = Settings::new("https://mirror/hub/", None).unwrap();
    let url = settings.below("api/datasets/o/n/tree/main", &ObjectPath::parse("a b/c#").unwrap()).unwrap();
    assert_eq!(url.as_str(), "https://mirror/hub/api/datasets/o/n/tree/main/a%20b/c%23");
}
