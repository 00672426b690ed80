//! Debian's docker-registry on a loopback port, with its storage in a temporary directory.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::skopeo;

/// How long a registry may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// A line of a password file: the user `user` with the password `secret`.
const HTPASSWD: &str = "user:$2b$04$9nZTcCBbZrwns65yPh4hP.fy/XhLWCuoSLDwZQUmXiF0s1Yr..VN2\n";

/// A registry that ends when it is dropped.
pub(crate) struct Registry {
    process: Child,
    directory: TempDir,
    pub(crate) address: String,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// One that wants a user and a password.
    pub(crate) fn with_password() -> Self {
        Self::with("auth: {htpasswd: {realm: tests, path: PASSWORDS}}\n")
    }

    fn with(extra: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let passwords = directory.path().join("passwords");
        std::fs::write(&passwords, HTPASSWD).unwrap();
        let extra = extra.replace("PASSWORDS", passwords.to_str().unwrap());
        // The port is free when it is asked for; a start that loses it to another process is tried again.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let address = format!("127.0.0.1:{port}");
            let root = directory.path().join("storage");
            let config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
                 http: {{addr: '{address}'}}\n{extra}",
                root.display()
            );
            let path = directory.path().join("config.yml");
            std::fs::write(&path, config).unwrap();
            let mut process = Command::new("docker-registry")
                .arg("serve")
                .arg(&path)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("docker-registry is installed");
            if wait_until_ready(&mut process, &address) {
                return Self {
                    process,
                    directory,
                    address,
                };
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        panic!("docker-registry did not start");
    }

    /// The name of a repository here.
    pub(crate) fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.address)
    }

    /// Pushes a docker-archive; gives the digest of its manifest.
    pub(crate) fn push(&self, archive: &[u8], repository: &str, options: &[&str]) -> String {
        let file = self.directory.path().join("push.tar");
        let digest = self.directory.path().join("digest");
        std::fs::write(&file, archive).unwrap();
        let source = format!("docker-archive:{}", file.display());
        let target = format!("docker://{}", self.name(repository));
        let fixed = [
            "copy",
            "-q",
            "--dest-tls-verify=false",
            "--digestfile",
            digest.to_str().unwrap(),
        ];
        skopeo(&[&fixed[..], options, &[&source, &target]].concat());
        std::fs::read_to_string(digest).unwrap().trim().to_owned()
    }

    /// Where the registry keeps a blob.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self
            .directory
            .path()
            .join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// A request over plain HTTP; gives the status and the body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        request(&self.address, method, path, content_type, body).expect("the registry answers")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn wait_until_ready(process: &mut Child, address: &str) -> bool {
    let end = Instant::now() + START_TIMEOUT;
    while Instant::now() < end {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if request(address, "GET", "/v2/", "", b"")
            .is_ok_and(|(status, _)| matches!(status, 200 | 401))
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn request(
    address: &str,
    method: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> std::io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !content_type.is_empty() {
        let _ = write!(
            head,
            "Content-Type: {content_type}\r\nAccept: {content_type}\r\n"
        );
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let status = text
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    let body = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map(|at| answer[at + 4..].to_vec());
    let bad = || std::io::Error::new(std::io::ErrorKind::InvalidData, "no HTTP answer");
    Ok((status.ok_or_else(bad)?, body.ok_or_else(bad)?))
}

/// A registry of one manifest list that wants a token, and gives it at `/token` to `user` with `secret`. Its thread ends with the
/// tests; it answers plain HTTP only.
pub(crate) struct TokenRegistry {
    pub(crate) address: String,
}

impl TokenRegistry {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let own = address.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that speaks TLS gets no answer that it understands, and tries plain HTTP.
                let _ = answer_with_token(stream, &own);
            }
        });
        Self { address }
    }
}

fn answer_with_token(mut stream: TcpStream, address: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        // The first byte of TLS is no letter.
        if stream.read(&mut byte)? == 0 || byte[0] == 0x16 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let path = head
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned();
    // `user:secret` in base64, in lower case like the rest of the head.
    let basic = head.contains("authorization: basic dxnlcjpzzwnyzxq=");
    let bearer = head.contains("authorization: bearer for-user");
    let (status, extra, body) = if path.starts_with("/token?") {
        assert!(path.contains("scope=repository%3aapp%3apull"), "{path}");
        let token = if basic { "for-user" } else { "for-nobody" };
        ("200 OK", String::new(), format!(r#"{{"token":"{token}"}}"#))
    } else if !bearer {
        let challenge = format!(
            "WWW-Authenticate: Bearer realm=\"http://{address}/token\",service=\"tests\"\r\n"
        );
        (
            "401 Unauthorized",
            challenge,
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#
                .to_owned(),
        )
    } else {
        let entry = r#"{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":1,"platform":{"os":"linux","architecture":"amd64"}}"#;
        (
            "200 OK",
            String::new(),
            format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#),
        )
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\n{extra}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes())
}
