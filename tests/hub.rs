//! Training from a data set of the Hugging Face Hub, which a server of these tests stands in for, gives the
//! weights of the local files. Needs a build with the feature `http`.

use crate::support::program::{Ended, Workshop};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

/// Serves the data set `o/n` at the revision `v1`: two files, the second of which lies on another server.
fn hub(files: [Vec<u8>; 2]) -> String {
    let [first, second] = files;
    let second_size = second.len();
    let storage = serve(move |target, authorization| {
        assert!(target.starts_with("/signed"));
        match authorization {
            None => Ok((String::new(), second.clone())),
            Some(_) => Err("400 Bad Request".to_string()),
        }
    });
    serve(move |target, authorization| {
        if authorization.as_deref() != Some("Bearer hf_secret") {
            return Err("401 Unauthorized\r\nX-Error-Code: RepoNotFound".to_string());
        }
        let entry = |name: &str, size: usize| {
            format!(r#"[{{"type": "file", "path": "data/{name}.csv", "size": {size}, "oid": "{name}"}}]"#)
        };
        let next = "Link: </api/datasets/o/n/tree/v1/data?cursor=2>; rel=\"next\"\r\n";
        match target {
            "/api/datasets/o/n/tree/v1/data?recursive=true&expand=false" => {
                Ok((next.to_string(), entry("1", first.len()).into_bytes()))
            }
            "/api/datasets/o/n/tree/v1/data?cursor=2" => {
                Ok((String::new(), entry("2", second_size).into_bytes()))
            }
            "/datasets/o/n/resolve/v1/data/1.csv" => Ok(("ETag: \"1\"\r\n".to_string(), first.clone())),
            "/datasets/o/n/resolve/v1/data/2.csv" => Err(format!(
                "302 Found\r\nLocation: {storage}/signed?key=hunter2\r\nX-Linked-Etag: \"2\"\r\nX-Linked-Size: \
                 {second_size}"
            )),
            _ => Err("404 Not Found\r\nX-Error-Code: EntryNotFound".to_string()),
        }
    })
}

/// Answers each request with headers and a body, of which a range may be asked for, or with a status.
fn serve(
    answer: impl Fn(&str, Option<String>) -> Result<(String, Vec<u8>), String> + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut reader = BufReader::new(&connection);
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    let words: Vec<&str> = line.split(' ').collect();
                    let (method, target) = (words[0].to_string(), words[1].to_string());
                    let (mut authorization, mut range) = (None, None);
                    loop {
                        let mut header = String::new();
                        reader.read_line(&mut header)?;
                        let Some((name, value)) = header.trim().split_once(':') else { break };
                        match name.to_ascii_lowercase().as_str() {
                            "authorization" => authorization = Some(value.trim().to_string()),
                            "range" => range = value.trim().strip_prefix("bytes=").map(str::to_string),
                            _ => {}
                        }
                    }
                    let (head, body) = match answer(&target, authorization) {
                        Err(status) => (format!("HTTP/1.1 {status}\r\n"), Vec::new()),
                        Ok((headers, body)) => match range.as_deref().and_then(|range| range.split_once('-'))
                        {
                            None => (format!("HTTP/1.1 200 OK\r\n{headers}"), body),
                            Some((first, last)) => {
                                let first: usize = first.parse().unwrap();
                                let last = last.parse().unwrap_or(usize::MAX).min(body.len() - 1);
                                let range = format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
                                (
                                    format!("HTTP/1.1 206 Partial Content\r\n{headers}{range}"),
                                    body[first..=last].to_vec(),
                                )
                            }
                        },
                    };
                    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
                    (&connection).write_all(head.as_bytes())?;
                    if method != "HEAD" {
                        (&connection).write_all(&body)?;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_data_set_of_the_hub_is_trained_on_as_local_files_are() {
    let workshop = Workshop::new();
    let file = |begin: usize| {
        let rows: String = (begin..begin + 30).map(|n| format!("{n},{}\n", 3 * n + 1)).collect();
        format!("x,y\n{rows}").into_bytes()
    };
    for number in [1, 2] {
        workshop.write(&format!("data/{number}.csv"), file(number * 30));
    }
    workshop.write(
        "r.toml",
        "[data]\nkind = 'table'\ntrain = 'data/*.csv'\ntarget = 'y'\n[model]\nname = 'linear'\n\
         [train]\nsteps = 10\nbatch_size = 8\n",
    );
    workshop.succeed(&["train", "r.toml", "--run", "local"]);
    let endpoint = hub([file(30), file(60)]);
    let train = |run: &str, uri: &str, token: Option<&str>| -> Ended {
        let train = format!("data.train={uri}");
        let mut command = workshop.command(&["train", "r.toml", "--run", run, "--set", &train]);
        command
            .env("HF_ENDPOINT", &endpoint)
            .env("HF_HOME", workshop.path("none"))
            .env("BONFIRE_RETRY_SECONDS", "1");
        ["HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN"]
            .iter()
            .for_each(|name| _ = command.env_remove(name));
        if let Some(token) = token {
            command.env("HF_TOKEN", token);
        }
        command.output().unwrap().into()
    };
    for (run, uri) in [("glob", "hf://datasets/o/n@v1/data/*.csv"), ("folder", "hf://datasets/o/n@v1/data")] {
        let trained = train(run, uri, Some("hf_secret"));
        assert_eq!(trained.code, Some(0), "{}", trained.stderr);
        let weights = |run: &str| workshop.read(&format!("{run}/model.safetensors"));
        assert!(weights(run) == weights("local"), "weights differ");
    }
    let kept = String::from_utf8(workshop.read("glob/recipe.toml")).unwrap();
    assert!(kept.contains("train = \"hf://datasets/o/n@v1/data/*.csv\""), "{kept}");
    for (uri, token, said) in [
        (
            "hf://datasets/o/n@v1/data/*.csv",
            None,
            "private, gated or missing data set, and no token: set HF_TOKEN",
        ),
        ("hf://datasets/o/n@v1/gone.csv", Some("hf_secret"), "nothing of that name"),
        ("hf://datasets/n", Some("hf_secret"), "hf://datasets/OWNER/NAME"),
    ] {
        let refused = train("refused", uri, token);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        let hidden = !refused.stderr.contains("hf_secret") && !refused.stderr.contains("hunter2");
        assert!(refused.stderr.contains(said) && hidden, "{}", refused.stderr);
    }
}
