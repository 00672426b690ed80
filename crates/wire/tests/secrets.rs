//! No message prints a secret that it carries.

use std::fmt::Debug;
use wire::pb::{ca, control, dispatcher, log, objects};
use wire::raft;

const SECRET: &str = "hunter2";

/// Messages with a field that is a secret itself: what holds them prints them by their own `Debug`.
const CARRIERS: [(&str, &str); 10] = [
    ("ca", "IssueRequest.token"),
    ("log", "UpdateCluster.worker_token"),
    ("log", "UpdateCluster.manager_token"),
    ("objects", "Cluster.worker_token"),
    ("objects", "Cluster.manager_token"),
    ("objects", "LabelledToken.secret"),
    ("objects", "PayloadSpec.data"),
    ("objects", "RootCa.key_pem"),
    ("raft", "Entry.data"),
    ("raft", "SnapshotRequest.chunk"),
];
/// Fields that have such a name or type and are no secret: public, or what anybody who may read logs sees.
const OPEN: [(&str, &str); 5] = [
    ("control", "WriteRequest.remove_token"),
    ("dispatcher", "LogFrame.data"),
    ("logs", "Message.data"),
    ("objects", "Seccomp.custom"),
    ("raft", "SealedBlocks.nonce_prefix"),
];

fn keeps<T: Debug>(message: &T) {
    let printed = format!("{message:?} {message:#?}");
    let bytes = format!("{:?}", SECRET.as_bytes());
    let bytes = bytes.trim_matches(['[', ']']);
    assert!(!printed.contains(SECRET), "{printed}");
    assert!(!printed.contains(bytes), "{printed}");
}

fn text() -> String {
    SECRET.to_owned()
}

fn payload() -> objects::PayloadSpec {
    objects::PayloadSpec {
        name: "a".into(),
        data: text().into(),
        ..Default::default()
    }
}

fn service() -> objects::ServiceSpec {
    objects::ServiceSpec {
        registry_auth: Some(auth()),
        ..Default::default()
    }
}

fn auth() -> objects::RegistryAuth {
    objects::RegistryAuth { value: text() }
}

fn token() -> objects::LabelledToken {
    objects::LabelledToken {
        secret: text(),
        ..Default::default()
    }
}

fn cluster() -> objects::Cluster {
    objects::Cluster {
        ca: Some(objects::RootCa {
            key_pem: text(),
            ..Default::default()
        }),
        worker_token: text(),
        manager_token: text(),
        tokens: vec![token()],
        ..Default::default()
    }
}

#[test]
fn objects_and_what_holds_them() {
    keeps(&payload());
    keeps(&objects::Payload {
        spec: Some(payload()),
        ..Default::default()
    });
    keeps(&service());
    keeps(&objects::Service {
        spec: Some(service()),
        previous_spec: Some(service()),
        ..Default::default()
    });
    keeps(&auth());
    keeps(&token());
    keeps(&cluster());
    keeps(&cluster().ca);
}

#[test]
fn requests_and_answers() {
    keeps(&ca::IssueRequest {
        token: text(),
        ..Default::default()
    });
    keeps(&control::CreatePayload {
        spec: Some(payload()),
        ..Default::default()
    });
    keeps(&control::UpdatePayload {
        spec: Some(payload()),
        ..Default::default()
    });
    keeps(&control::UpdateService {
        spec: Some(service()),
        ..Default::default()
    });
    keeps(&dispatcher::AssignedTask {
        registry_auth: Some(auth()),
        ..Default::default()
    });
}

#[test]
fn the_log_and_its_way_to_other_managers() {
    keeps(&log::UpdateCluster {
        worker_token: Some(text()),
        manager_token: Some(text()),
        ..Default::default()
    });
    keeps(&log::SetTokens {
        tokens: vec![token()],
        ..Default::default()
    });
    keeps(&log::CreateService {
        spec: Some(service()),
        ..Default::default()
    });
    keeps(&log::Snapshot {
        payloads: vec![objects::Payload {
            spec: Some(payload()),
            ..Default::default()
        }],
        ..Default::default()
    });
    keeps(&raft::AppendRequest {
        entries: vec![raft::Entry {
            payload: Some(raft::entry::Payload::Data(text().into())),
            ..Default::default()
        }],
        ..Default::default()
    });
    keeps(&raft::SnapshotRequest {
        part: Some(raft::snapshot_request::Part::Chunk(text().into())),
    });
}

/// A field that looks like a secret, or that can hold anything, is in one of the lists above: whoever adds one decides.
#[test]
fn every_field_that_may_be_a_secret_is_known() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut found = std::collections::BTreeSet::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let package = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut message = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["message", name, ..] = words[..] {
                message = name.to_owned();
            }
            let words = words.strip_prefix(&["optional"]).unwrap_or(&words);
            let (kind, name) = match words {
                ["repeated", kind, name, "=", ..] | [kind, name, "=", ..] => (*kind, *name),
                _ => continue,
            };
            let named = ["token", "secret", "key_pem", "password", "passphrase"];
            let is_text = kind == "string" && named.iter().any(|part| name.contains(part));
            if kind == "bytes" || is_text {
                found.insert((package.clone(), format!("{message}.{name}")));
            }
        }
    }
    let known = CARRIERS.iter().chain(&OPEN);
    let known = known.map(|(package, field)| ((*package).to_owned(), (*field).to_owned()));
    assert_eq!(found, known.collect());
}
