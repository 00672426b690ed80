//! `service logs`: the output of all tasks of a service, or of one task.

use crate::client::{Download, FrameDecoder, Stream};
use crate::error::{Error, Result};
use crate::resolver::Resolver;
use crate::session::{Session, object};
use crate::table::short_id;
use crate::tasks::slot;
use api_types::service::Service;
use api_types::task::Task;
use clap::Args;
use http::Method;
use std::collections::BTreeMap;

/// Flags of `service logs`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling service logs -f web\n  starling service logs --tail 20 --since 10m web"
)]
pub struct LogsArgs {
    /// A service or a task
    #[arg(value_name = "SERVICE|TASK")]
    pub target: String,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines of each task
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail, allow_hyphen_values = true)]
    pub tail: String,
    /// Only what is newer: a time such as 2026-11-21T10:00:00Z, or a duration such as 42m
    #[arg(long, value_name = "TIME", value_parser = crate::times::since)]
    pub since: Option<String>,
    /// Only what is older: a time or a duration
    #[arg(long, value_name = "TIME", value_parser = crate::times::since)]
    pub until: Option<String>,
    /// Show when each line was written
    #[arg(short, long)]
    pub timestamps: bool,
    /// Show what else the log driver knows
    #[arg(long)]
    pub details: bool,
    /// Show IDs in place of names
    #[arg(long)]
    pub no_resolve: bool,
    /// Do not show the IDs of tasks
    #[arg(long)]
    pub no_task_ids: bool,
    /// Do not shorten IDs
    #[arg(long)]
    pub no_trunc: bool,
    /// Only the lines, without saying whose they are
    #[arg(long)]
    pub raw: bool,
}

/// `all`, or a number; a negative one means all, too.
fn tail(text: &str) -> std::result::Result<String, String> {
    match text.parse::<i64>() {
        Ok(lines) if lines >= 0 => Ok(lines.to_string()),
        Ok(_) => Ok("all".to_owned()),
        Err(_) if text == "all" => Ok("all".to_owned()),
        Err(_) => Err("must be a number of lines, or all".to_owned()),
    }
}

struct Target {
    path: String,
    tty: bool,
    /// Digits of the largest slot.
    width: usize,
}

pub(super) async fn logs(session: &mut Session, args: &LogsArgs) -> Result<()> {
    let target = find(session, &args.target).await?;
    if target.tty && !args.raw {
        return Err(Error::usage("tty service logs only supported with --raw"));
    }
    let flag = |on: bool| if on { "1" } else { "0" };
    let mut query = vec![
        ("stdout", "1"),
        ("stderr", "1"),
        ("tail", args.tail.as_str()),
    ];
    query.extend(
        [
            ("follow", args.follow),
            ("timestamps", args.timestamps),
            ("details", args.details || !args.raw),
        ]
        .iter()
        .filter(|(_, on)| *on)
        .map(|(name, on)| (*name, flag(*on))),
    );
    query.extend(args.since.as_deref().map(|since| ("since", since)));
    query.extend(args.until.as_deref().map(|until| ("until", until)));
    let stream = session
        .client
        .stream(Method::GET, &target.path, &query)
        .await?;
    if target.tty {
        copy(session, stream).await
    } else {
        frames(session, stream, args, target.width).await
    }
}

async fn find(session: &Session, name: &str) -> Result<Target> {
    let service: Result<Service> = session
        .client
        .get(&object("/services", name, "")?, &[])
        .await;
    match service {
        Ok(service) => {
            let replicas = service
                .spec
                .mode
                .replicated
                .as_ref()
                .and_then(|mode| mode.replicas)
                .unwrap_or(1);
            let tty = service
                .spec
                .task_template
                .container_spec
                .is_some_and(|container| container.tty);
            Ok(Target {
                path: object("/services", name, "/logs")?,
                tty,
                width: replicas.to_string().len(),
            })
        }
        Err(err) if err.is_not_found() => {
            let task: Result<Task> = session.client.get(&object("/tasks", name, "")?, &[]).await;
            let task = task.map_err(|err| {
                if err.is_not_found() {
                    Error::Failed(format!("no such task or service: {name}"))
                } else {
                    err
                }
            })?;
            let tty = task
                .spec
                .container_spec
                .is_some_and(|container| container.tty);
            Ok(Target {
                path: object("/tasks", name, "/logs")?,
                tty,
                width: task.slot.to_string().len(),
            })
        }
        Err(err) => Err(err),
    }
}

async fn copy(session: &mut Session, mut stream: Download) -> Result<()> {
    while let Some(bytes) = stream.next().await? {
        session.console.write(&bytes)?;
    }
    Ok(())
}

async fn frames(
    session: &mut Session,
    mut stream: Download,
    args: &LogsArgs,
    width: usize,
) -> Result<()> {
    let mut decoder = FrameDecoder::default();
    let mut names = TaskNames {
        resolver: Resolver::new(args.no_resolve),
        width,
        known: BTreeMap::new(),
    };
    while let Some(bytes) = stream.next().await? {
        for frame in decoder.push(&bytes)? {
            if frame.stream == Stream::System {
                return Err(Error::Failed(format!(
                    "error from daemon in stream: {}",
                    String::from_utf8_lossy(&frame.bytes).trim_end()
                )));
            }
            let text = if args.raw {
                frame.bytes
            } else {
                line(session, &mut names, &frame.bytes, args).await?
            };
            match frame.stream {
                Stream::Err => session.console.write_err(&text)?,
                _ => session.console.write(&text)?,
            }
        }
    }
    if decoder.is_torn() {
        Err(Error::Transport(
            "the stream of logs broke off in the middle of a line".to_owned(),
        ))
    } else {
        Ok(())
    }
}

/// Where a line comes from, cut from its details.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    timestamp: Option<&'a [u8]>,
    details: BTreeMap<String, String>,
    text: &'a [u8],
}

/// `[timestamp ]key=value,key=value text`
fn parse(bytes: &[u8], timestamps: bool) -> Option<Line<'_>> {
    let cut = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte == b' ');
    let (timestamp, rest) = if timestamps {
        let blank = cut(bytes)?;
        (Some(&bytes[..blank]), &bytes[blank + 1..])
    } else {
        (None, bytes)
    };
    let blank = cut(rest)?;
    let details = String::from_utf8_lossy(&rest[..blank]);
    let details = details
        .split(',')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            pair.split_once('=')
                .map(|(key, value)| (unescape(key), unescape(value)))
        })
        .collect::<Option<_>>()?;
    Some(Line {
        timestamp,
        details,
        text: &rest[blank + 1..],
    })
}

/// Names and values of details are escaped as in a URL's query.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%')
            .then(|| {
                text.get(at + 1..at + 3)
                    .and_then(|hex| u8::from_str_radix(hex, 16).ok())
            })
            .flatten();
        match (code, bytes[at]) {
            (Some(code), _) => {
                out.push(code);
                at += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

async fn line(
    session: &Session,
    names: &mut TaskNames,
    bytes: &[u8],
    args: &LogsArgs,
) -> Result<Vec<u8>> {
    let mut line = parse(bytes, args.timestamps).ok_or_else(|| {
        Error::Transport(format!(
            "invalid context in log message: {}",
            String::from_utf8_lossy(bytes)
        ))
    })?;
    let mut take = |name: &str| {
        line.details
            .remove(&format!("com.docker.swarm.{name}.id"))
            .ok_or_else(|| Error::Transport(format!("missing {name} id in details")))
    };
    let (node, service, task) = (take("node")?, take("service")?, take("task")?);
    let prefix = names.prefix(session, &node, &service, &task, args).await?;
    let mut out = Vec::new();
    if let Some(timestamp) = line.timestamp {
        out.extend_from_slice(timestamp);
        out.push(b' ');
    }
    out.extend_from_slice(prefix.as_bytes());
    out.extend_from_slice(b"    | ");
    if args.details {
        let details: Vec<String> = line
            .details
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        out.extend_from_slice(details.join(",").as_bytes());
        out.push(b' ');
    }
    out.extend_from_slice(line.text);
    Ok(out)
}

struct TaskNames {
    resolver: Resolver,
    width: usize,
    /// By the task's id.
    known: BTreeMap<String, String>,
}

impl TaskNames {
    /// `web.1.0123456789ab@h1`, filled with blanks so that the bars stand in a line.
    async fn prefix(
        &mut self,
        session: &Session,
        node: &str,
        service: &str,
        task: &str,
        args: &LogsArgs,
    ) -> Result<String> {
        if let Some(known) = self.known.get(task) {
            return Ok(known.clone());
        }
        let service = self.resolver.service(session, service).await?;
        let node = self.resolver.node(session, node).await?;
        let found: Task = session
            .client
            .get(&object("/tasks", task, "")?, &[])
            .await?;
        // Docker's client prints 0 for the tasks of a global service.
        let slot = slot(session, &mut self.resolver, &found).await?;
        let slot = slot.unwrap_or(0).to_string();
        let id = match (args.no_task_ids, args.no_trunc) {
            (true, _) => String::new(),
            (false, true) => format!(".{}", found.id),
            (false, false) => format!(".{}", short_id(&found.id)),
        };
        let prefix = format!(
            "{service}.{slot}{id}@{node}{}",
            " ".repeat(self.width.saturating_sub(slot.len()))
        );
        self.known.insert(task.to_owned(), prefix.clone());
        Ok(prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = parse(
            b"2026-11-21T10:00:00.000000000Z a=1,b%2Cc=x+y hello world\n",
            true,
        )
        .unwrap();
        assert_eq!(line.timestamp, Some(&b"2026-11-21T10:00:00.000000000Z"[..]));
        assert_eq!(line.details.get("b,c").unwrap(), "x y");
        assert_eq!(line.text, b"hello world\n");
        assert_eq!(parse(b"a=1 \n", false).unwrap().text, b"\n");
        assert!(parse(b"nothing", false).is_none() && parse(b"nothing here", false).is_none());
    }

    #[test]
    fn tails() {
        assert_eq!(
            (tail("5"), tail("-1"), tail("all")),
            (Ok("5".into()), Ok("all".into()), Ok("all".into()))
        );
        assert!(tail("some").is_err());
    }
}
