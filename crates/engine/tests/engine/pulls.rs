//! When registries are asked, and as whom.

use crate::support::{Host, IMAGE, in_time};
use crate::tasks::{prepare_with, task};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use engine::task::Payloads;
use model::service::RegistryAuth;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A registry that refuses everybody; it keeps what it was asked.
async fn registry() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 8192];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            requests.lock().unwrap().push(text);
            let body =
                r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            let answer = format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // The client may be gone.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (addr, asked)
}

async fn online() -> Host {
    let mut host = Host::new().await;
    host.close();
    host.offline = false;
    host.open().await;
    host
}

#[tokio::test]
async fn credentials_go_to_the_registry_and_its_refusal_to_the_user() {
    let host = online().await;
    let (addr, asked) = registry().await;
    let mut task = task("t1", &format!("{addr}/private:1"), "true");
    let json = r#"{"username":"me","password":"hunter2"}"#;
    task.registry_auth = Some(RegistryAuth(BASE64_STANDARD.encode(json)));
    let none = Payloads::new();
    let prepared = prepare_with(host.engine(), &task, &none);
    let error = in_time("a refusal", prepared).await.unwrap_err();
    assert!(error.permanent);
    let text = error.message.to_ascii_lowercase();
    let reason = [
        "401",
        "unauthorized",
        "authentication",
        "denied",
        "not authorized",
    ];
    assert!(reason.iter().any(|word| text.contains(word)), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let basic = format!("Basic {}", BASE64_STANDARD.encode("me:hunter2")).to_ascii_lowercase();
    let asked = asked.lock().unwrap().clone();
    let sent = asked
        .iter()
        .any(|request| request.to_ascii_lowercase().contains(&basic));
    assert!(sent, "{asked:?}");
    // Credentials that cannot be read are said without being shown.
    task.id = "t2".into();
    task.registry_auth = Some(RegistryAuth("hunter2".into()));
    let error = prepare_with(host.engine(), &task, &Payloads::new())
        .await
        .unwrap_err();
    assert!(error.message.contains("credentials"), "{error}");
    assert!(!error.message.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_tag_is_asked_for_once_for_each_spec() {
    let host = online().await;
    let (addr, asked) = registry().await;
    let name = format!("{addr}/here:1");
    host.engine().images().tag(IMAGE, &name).unwrap();
    let count = || asked.lock().unwrap().len();
    let prepare = async |id: &str, script: &str| {
        let task = task(id, &name, script);
        let none = Payloads::new();
        let prepared = prepare_with(host.engine(), &task, &none);
        in_time("the preparation", prepared)
            .await
            .expect("it is here");
    };
    prepare("t1", "true").await;
    let once = count();
    assert!(once > 0);
    prepare("t2", "true").await;
    assert_eq!(count(), once, "another task of the same spec");
    prepare("t3", "exit 0").await;
    assert!(count() > once, "an update asks anew");
}
