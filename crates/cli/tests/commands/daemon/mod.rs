//! A daemon that answers what a test tells it to, and remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query, unescaped.
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    /// `X-Registry-Auth`.
    pub(crate) auth: Option<String>,
}

/// What is answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Close the connection behind the answer, without saying so before.
    pub(crate) hang_up: bool,
}

pub(crate) fn json(text: &str) -> Answer {
    Answer {
        status: 200,
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: text.into(),
        hang_up: false,
    }
}

pub(crate) fn error(status: u16, message: &str) -> Answer {
    Answer {
        status,
        ..json(&serde_json::json!({ "message": message }).to_string())
    }
}

/// The program's side of a test.
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    requests: Arc<Mutex<Vec<Request>>>,
    directory: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Starts one; `answer` gets each request but pings, with the version cut from its path.
pub(crate) fn start(name: &str, answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Daemon {
    let directory =
        std::env::temp_dir().join(format!("starling-cli-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let socket = directory.join("d.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let answer = Arc::new(Mutex::new(answer));
    let shared = requests.clone();
    // The thread ends with the test's process; its connections end with their clients.
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (requests, answer) = (shared.clone(), answer.clone());
            std::thread::spawn(move || serve(stream, &requests, &*answer));
        }
    });
    Daemon {
        socket,
        requests,
        directory,
    }
}

impl Daemon {
    /// What was asked, as `METHOD path`, without the pings.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.requests
            .lock()
            .unwrap()
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// The credentials that came with the requests, as `METHOD path`.
    pub(crate) fn with_credentials(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter_map(|request| {
                request
                    .auth
                    .as_ref()
                    .map(|auth| format!("{} {} {auth}", request.method, request.path))
            })
            .collect()
    }

    /// The body of the last request of this method.
    pub(crate) fn last_body(&self, method: &str) -> String {
        let requests = self.requests.lock().unwrap();
        String::from_utf8(
            requests
                .iter()
                .rev()
                .find(|request| request.method == method)
                .unwrap()
                .body
                .clone(),
        )
        .unwrap()
    }
}

fn serve<F: FnMut(&Request) -> Answer>(
    stream: UnixStream,
    requests: &Mutex<Vec<Request>>,
    answer: &Mutex<F>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let answer = if request.path == "/_ping" {
            Answer {
                status: 200,
                headers: vec![("Api-Version", "1.50".to_owned())],
                body: Vec::new(),
                hang_up: false,
            }
        } else {
            requests.lock().unwrap().push(request.clone());
            let mut answer = answer.lock().unwrap();
            answer(&request)
        };
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", answer.body.len()));
        if stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&answer.body))
            .is_err()
            || answer.hang_up
        {
            return;
        }
    }
}

fn read(reader: &mut BufReader<UnixStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut chunked, mut auth) = (0, false, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if let Some(("x-registry-auth", value)) = header.trim().split_once(": ") {
            auth = Some(value.to_owned());
        }
        let lower = header.trim().to_ascii_lowercase();
        match lower.split_once(": ") {
            None => break,
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("transfer-encoding", "chunked")) => chunked = true,
            Some(_) => {}
        }
    }
    let body = if chunked {
        read_chunks(reader)?
    } else {
        exactly(reader, length)?
    };
    Some(Request {
        method,
        path: unescape(&target),
        body,
        auth,
    })
}

fn exactly(reader: &mut impl Read, length: usize) -> Option<Vec<u8>> {
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

fn read_chunks(reader: &mut BufReader<UnixStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        body.extend(exactly(reader, size)?);
        exactly(reader, 2)?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// Takes the escapes out, and `/v1.50` off the front.
fn unescape(target: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = target.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: Vec<u8> = rest.by_ref().take(2).collect();
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).unwrap();
    text.strip_prefix("/v1.50").unwrap_or(&text).to_owned()
}
