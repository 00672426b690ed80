//! `/images` and `/distribution`.

use crate::body::{self, Body, incoming, json};
use crate::error::image_error;
use crate::events::event;
use crate::router::Call;
use crate::version::Version;
use crate::{Api, ApiError, auth};
use api_types::StringMap;
use api_types::image as out;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Response, StatusCode};
use images::{ImageRecord, Progress, ProgressMessage, Reference, Removed};
use std::io;
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;

const FILTERS: [&str; 6] = ["before", "dangling", "label", "reference", "since", "until"];

pub(crate) fn list(call: Call) -> Result<Response<Body>, ApiError> {
    let filters = call.query.filters(&FILTERS)?;
    if filters.contains("until") {
        return Err(ApiError::not_built("the filter until of images"));
    }
    let bad = |e: api_types::filters::FilterError| ApiError::bad_request(e.to_string());
    let dangling = filters.boolean("dangling").map_err(bad)?;
    let records = call.api.images.list();
    let border = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(reference) = filters.values(name).next() else {
            return Ok(None);
        };
        let record = call
            .api
            .images
            .inspect(reference)
            .map_err(|e| image_error(e.kind(), e.to_string()))?;
        Ok(records.iter().position(|r| r.id == record.id))
    };
    let (before, since) = (border("before")?, border("since")?);
    let summaries: Vec<_> = records
        .iter()
        .enumerate()
        .filter(|(at, r)| {
            before.is_none_or(|b| *at > b)
                && since.is_none_or(|s| *at < s)
                && dangling.is_none_or(|d| d == r.tags.is_empty())
                && filters.labels("label", &r.config.labels)
                && filters.any("reference", |pattern| matches_reference(r, pattern))
        })
        .map(|(_, r)| summary(r, call.version))
        .collect();
    Ok(json(&summaries))
}

/// A name with or without its tag; `*` stands for anything but a slash.
fn matches_reference(record: &ImageRecord, pattern: &str) -> bool {
    record
        .tags
        .iter()
        .any(|t| glob(pattern, &t.familiar()) || glob(pattern, &t.familiar_name()))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            ends.take_while(|at| !text[..*at].contains('/'))
                .any(|at| glob(rest, &text[at..]))
        }),
    }
}

fn unix_seconds(time: &str) -> i64 {
    time.parse::<api_types::Timestamp>()
        .map_or(0, |t| t.unix_seconds())
}

fn summary(record: &ImageRecord, version: Version) -> out::Summary {
    let size = i64::try_from(record.size).unwrap_or(i64::MAX);
    out::Summary {
        containers: -1,
        created: unix_seconds(&record.created),
        id: record.id.to_string(),
        labels: (!record.config.labels.is_empty()).then(|| record.config.labels.clone()),
        parent_id: record
            .parent
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        repo_digests: record.repo_digests(),
        repo_tags: record.repo_tags(),
        shared_size: -1,
        size,
        virtual_size: if version < Version(1, 44) { size } else { 0 },
    }
}

pub(crate) fn inspect(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let record = call
        .api
        .images
        .inspect(name)
        .map_err(|e| image_error(e.kind(), e.to_string()))?;
    let config = serde_json::to_value(&record.config).and_then(serde_json::from_value);
    let config: out::ImageConfig =
        config.map_err(|e| ApiError::internal(format!("cannot show the image's config: {e}")))?;
    let size = i64::try_from(record.size).unwrap_or(i64::MAX);
    let image = out::Image {
        id: record.id.to_string(),
        repo_tags: record.repo_tags(),
        repo_digests: record.repo_digests(),
        parent: record
            .parent
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        comment: record.comment.clone(),
        created: record.created.clone(),
        docker_version: record.docker_version.clone(),
        author: record.author.clone(),
        config: Some(config),
        architecture: record.architecture.clone(),
        variant: record.variant.clone(),
        os: record.os.clone(),
        os_version: record.os_version.clone(),
        size,
        virtual_size: if call.version < Version(1, 44) {
            size
        } else {
            0
        },
        graph_driver: out::DriverData {
            data: None,
            name: "overlay2".into(),
        },
        root_fs: out::RootFs {
            kind: "layers".into(),
            layers: record.layers.iter().map(ToString::to_string).collect(),
        },
        metadata: out::Metadata {
            last_tag_time: record
                .last_tagged
                .map(api_types::Timestamp::from_unix_nanos)
                .unwrap_or_default(),
        },
        descriptor: None,
    };
    Ok(json(&image))
}

pub(crate) fn history(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let entries = call
        .api
        .images
        .history(name)
        .map_err(|e| image_error(e.kind(), e.to_string()))?;
    let items: Vec<_> = entries
        .iter()
        .map(|entry| out::HistoryItem {
            comment: entry.comment.clone(),
            created: unix_seconds(&entry.created),
            created_by: entry.created_by.clone(),
            id: entry
                .id
                .as_ref()
                .map_or("<missing>".into(), ToString::to_string),
            size: i64::try_from(entry.size).unwrap_or(i64::MAX),
            tags: (!entry.tags.is_empty()).then(|| entry.tags.clone()),
        })
        .collect();
    Ok(json(&items))
}

pub(crate) async fn tag(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let (repo, tag) = (call.query.get("repo"), call.query.get("tag"));
    let target = if tag.is_empty() {
        repo.to_owned()
    } else {
        format!("{repo}:{tag}")
    };
    let (images, source) = (call.api.images.clone(), name.to_owned());
    let shown = target.clone();
    let id = blocking(move || {
        images
            .tag(&source, &target)
            .map_err(|e| image_error(e.kind(), e.to_string()))
    })
    .await?;
    tell(&call.api, "tag", id.as_str(), &shown);
    Ok(body::empty(StatusCode::CREATED))
}

pub(crate) async fn remove(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let (api, name, force) = (call.api.clone(), name.to_owned(), call.query.flag("force"));
    let removed = blocking(move || {
        let users = |id: &images::ImageId| api.containers.users_of_image(id);
        api.images
            .remove(&name, force, &users)
            .map_err(|e| image_error(e.kind(), e.to_string()))
    })
    .await?;
    let answer: Vec<_> = removed
        .iter()
        .map(|step| match step {
            Removed::Untagged(name) => {
                tell(&call.api, "untag", name, name);
                out::DeleteResponse {
                    untagged: name.clone(),
                    ..Default::default()
                }
            }
            Removed::Deleted(id) => {
                tell(&call.api, "delete", id, id);
                out::DeleteResponse {
                    deleted: id.clone(),
                    ..Default::default()
                }
            }
        })
        .collect();
    Ok(json(&answer))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(ApiError::internal(format!(
            "the operation ended badly: {error}"
        )))
    })
}

/// Publishes an event about an image.
fn tell(api: &Api, action: &str, id: &str, name: &str) {
    let attributes = StringMap::from([("name".into(), name.into())]);
    api.events.publish(event(
        "image",
        action,
        id,
        attributes,
        "local",
        api.host.now(),
    ));
}

pub(crate) async fn distribution(call: Call, name: &str) -> Result<Response<Body>, ApiError> {
    let auth = auth::credentials(&call.headers)?;
    let found = call
        .api
        .images
        .distribution(name, auth)
        .await
        .map_err(|e| image_error(e.kind(), e.to_string()))?;
    let platforms = found.platforms.into_iter().map(|p| out::OciPlatform {
        architecture: p.architecture,
        os: p.os,
        os_version: p.os_version,
        os_features: Vec::new(),
        variant: p.variant,
    });
    Ok(json(&out::DistributionInspect {
        descriptor: out::Descriptor {
            media_type: found.media_type,
            digest: found.digest.to_string(),
            size: i64::try_from(found.size).unwrap_or(i64::MAX),
            ..Default::default()
        },
        platforms: Some(platforms.collect()),
    }))
}

/// Pull or import.
pub(crate) async fn create(call: Call) -> Result<Response<Body>, ApiError> {
    match (call.query.get("fromImage"), call.query.get("fromSrc")) {
        ("", "-") => import(call).await,
        ("", "") => Err(ApiError::bad_request("fromImage or fromSrc must be given")),
        ("", _) => Err(ApiError::not_built(
            "importing from a URL (fromSrc other than '-')",
        )),
        (image, _) => {
            let image = image.to_owned();
            pull(call, image)
        }
    }
}

fn pull(call: Call, image: String) -> Result<Response<Body>, ApiError> {
    let tag = call.query.get("tag");
    let reference = match tag {
        "" => image,
        digest if digest.contains(':') => format!("{image}@{digest}"),
        tag => format!("{image}:{tag}"),
    };
    let parsed = Reference::parse_normalized(&reference)
        .map_err(|e| ApiError::bad_request(e.to_string()))?;
    let auth = auth::credentials(&call.headers)?;
    let platform = Some(call.query.get("platform").to_owned()).filter(|p| !p.is_empty());
    let api = call.api;
    Ok(progress_stream(move |progress| async move {
        let shown = parsed.familiar();
        let pulled = api
            .images
            .pull(&reference, auth, platform.as_deref(), progress)
            .await;
        let pulled = pulled.map_err(|e| e.to_string())?;
        tell(&api, "pull", &shown, &parsed.familiar_name());
        drop(pulled);
        Ok(Vec::new())
    }))
}

async fn import(call: Call) -> Result<Response<Body>, ApiError> {
    let (repo, tag) = (call.query.get("repo"), call.query.get("tag"));
    let reference = match (repo, tag) {
        ("", _) => None,
        (repo, "") => Some(repo.to_owned()),
        (repo, tag) => Some(format!("{repo}:{tag}")),
    };
    let message = call.query.get("message").to_owned();
    let changes = call.query.all("changes");
    let reader = StreamReader::new(Box::pin(incoming(call.body)));
    let imported = call
        .api
        .images
        .import(reader, reference.as_deref(), &changes, &message)
        .await;
    let id = imported.map_err(|e| image_error(e.kind(), e.to_string()))?;
    tell(
        &call.api,
        "import",
        id.as_str(),
        reference.as_deref().unwrap_or(id.as_str()),
    );
    let line = progress_line(&out::ProgressMessage {
        status: id.to_string(),
        ..Default::default()
    });
    Ok(body::stream("application/json", stream::iter([Ok(line)])))
}

pub(crate) async fn load(call: Call) -> Result<Response<Body>, ApiError> {
    let api = call.api;
    let body = call.body;
    Ok(progress_stream(move |progress| async move {
        let reader = StreamReader::new(Box::pin(incoming(body)));
        let loaded = api
            .images
            .load(reader, progress)
            .await
            .map_err(|e| e.to_string())?;
        let mut lines = Vec::new();
        for image in loaded {
            let name = image
                .name
                .as_ref()
                .map_or_else(|| image.id.to_string(), Reference::familiar);
            tell(&api, "load", image.id.as_str(), &name);
            lines.push(out::ProgressMessage::text(format!("{}\n", image.message())));
        }
        Ok(lines)
    }))
}

pub(crate) async fn save(call: Call, names: Vec<String>) -> Result<Response<Body>, ApiError> {
    if names.is_empty() {
        return Err(ApiError::bad_request("name at least one image to save"));
    }
    let saved = call
        .api
        .images
        .save(&names)
        .await
        .map_err(|e| image_error(e.kind(), e.to_string()))?;
    Ok(body::stream("application/x-tar", saved))
}

fn progress_line(message: &out::ProgressMessage) -> Bytes {
    let mut line = serde_json::to_vec(message).expect("types of api-types have string keys only");
    line.extend_from_slice(b"\r\n");
    line.into()
}

/// 200 at once, then a line for each step of `work`, then its last lines or its error.
fn progress_stream<F, W>(work: F) -> Response<Body>
where
    F: FnOnce(Progress) -> W,
    W: Future<Output = Result<Vec<out::ProgressMessage>, String>> + Send + 'static,
{
    let (progress, receiver) = Progress::channel();
    let work = work(progress);
    body::stream("application/json", lines(receiver, work))
}

fn lines(
    receiver: mpsc::Receiver<ProgressMessage>,
    work: impl Future<Output = Result<Vec<out::ProgressMessage>, String>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    // A task of its own: the work goes on when the client goes away, as in Docker, and its drop ends the messages.
    let task = tokio::spawn(work);
    let steps = stream::unfold(receiver, |mut receiver| async move {
        let message = receiver.recv().await?;
        Some((step(message), receiver))
    });
    let end = stream::once(async move {
        let messages = match task.await {
            Ok(Ok(messages)) => messages,
            Ok(Err(text)) => vec![out::ProgressMessage::failure(text)],
            Err(error) => vec![out::ProgressMessage::failure(format!(
                "the operation ended badly: {error}"
            ))],
        };
        stream::iter(messages)
    });
    let messages: Box<dyn Stream<Item = out::ProgressMessage> + Send + Unpin> =
        Box::new(Box::pin(steps.chain(end.flatten())));
    messages.map(|message| Ok(progress_line(&message)))
}

fn step(message: ProgressMessage) -> out::ProgressMessage {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let mut line = out::ProgressMessage::status(message.id.unwrap_or_default(), message.status);
    line.progress_detail = Some(out::ProgressDetail {
        current: message.current.map_or(0, signed),
        total: message.total.map_or(0, signed),
        ..Default::default()
    });
    line
}
