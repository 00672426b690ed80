//! `image load`, `save`, `import` and `pull`: much data and its progress.

use super::{ImportArgs, LoadArgs, PullArgs, SaveArgs};
use crate::board::{Board, bar};
use crate::client::{Download, Lines};
use crate::error::{Error, Result};
use crate::reference::Reference;
use crate::session::Session;
use crate::units::human_size;
use api_types::image::ProgressMessage;
use http::Method;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use tokio::io::AsyncRead;

const BAR_WIDTH: usize = 30;
const SIZE_DIGITS: usize = 4;

pub(super) async fn load(session: &mut Session, args: &LoadArgs) -> Result<()> {
    let quiet = args.quiet || !session.console.terminal;
    let mut query = vec![("quiet", if quiet { "1" } else { "0" })];
    query.extend(
        args.platform
            .as_deref()
            .map(|platform| ("platform", platform)),
    );
    let answer = match &args.input {
        Some(path) => {
            session
                .client
                .upload("/images/load", &query, open(path).await?)
                .await?
        }
        None if std::io::stdin().is_terminal() => {
            return Err(Error::usage(
                "requested load from stdin, but stdin is empty: name the archive with -i, or send it through a pipe",
            ));
        }
        None => {
            session
                .client
                .upload("/images/load", &query, tokio::io::stdin())
                .await?
        }
    };
    follow(session, answer, args.quiet).await
}

async fn open(path: &Path) -> Result<tokio::fs::File> {
    tokio::fs::File::open(path)
        .await
        .map_err(|source| Error::File {
            what: format!("cannot open {}", path.display()),
            source,
        })
}

pub(super) async fn save(session: &mut Session, args: &SaveArgs) -> Result<()> {
    if args.output.is_none() && session.console.terminal {
        return Err(Error::usage(
            "cowardly refusing to save to a terminal: use the -o flag or redirect",
        ));
    }
    let mut query: Vec<(&str, &str)> = args
        .images
        .iter()
        .map(|name| ("names", name.as_str()))
        .collect();
    query.extend(
        args.platform
            .as_deref()
            .map(|platform| ("platform", platform)),
    );
    let mut answer = session
        .client
        .stream(Method::GET, "/images/get", &query)
        .await?;
    match &args.output {
        None => {
            while let Some(bytes) = answer.next().await? {
                session.console.write(&bytes)?;
            }
            Ok(())
        }
        Some(path) => save_file(&mut answer, path).await,
    }
}

/// Writes beside the file and renames, so that a broken archive never has the name.
async fn save_file(answer: &mut Download, path: &Path) -> Result<()> {
    let failed = |source| Error::File {
        what: format!("cannot write {}", path.display()),
        source,
    };
    if !std::fs::metadata(path).map_or(true, |there| there.is_file()) {
        // A pipe or a device is written directly.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(failed)?;
        return copy(answer, &mut file, path).await;
    }
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&temporary)
        .map_err(failed)?;
    let copied = copy(answer, &mut file, path)
        .await
        .and_then(|()| std::fs::rename(&temporary, path).map_err(failed));
    if copied.is_err() {
        // The error that matters is the first one.
        let _ = std::fs::remove_file(&temporary);
    }
    copied
}

async fn copy(answer: &mut Download, file: &mut std::fs::File, path: &Path) -> Result<()> {
    while let Some(bytes) = answer.next().await? {
        file.write_all(&bytes).map_err(|source| Error::File {
            what: format!("cannot write {}", path.display()),
            source,
        })?;
    }
    Ok(())
}

pub(super) async fn import(session: &mut Session, args: &ImportArgs) -> Result<()> {
    let target = args
        .target
        .as_deref()
        .map(Reference::parse)
        .transpose()
        .map_err(Error::Usage)?
        .map(Reference::with_default_tag);
    let tag = target
        .as_ref()
        .and_then(|target| target.tag.clone())
        .unwrap_or_default();
    let mut query = vec![("fromSrc", "-")];
    if let Some(target) = &target {
        query.extend([("repo", target.name.as_str()), ("tag", tag.as_str())]);
    }
    query.extend(args.message.as_deref().map(|message| ("message", message)));
    query.extend(
        args.platform
            .as_deref()
            .map(|platform| ("platform", platform)),
    );
    query.extend(
        args.change
            .iter()
            .map(|change| ("changes", change.as_str())),
    );
    if args.source.contains("://") {
        return Err(Error::usage(format!(
            "cannot import {}: fetch the archive yourself, for example with curl, and send it through a pipe",
            args.source
        )));
    }
    let content: Box<dyn AsyncRead + Send + Unpin> = if args.source == "-" {
        Box::new(tokio::io::stdin())
    } else {
        Box::new(open(Path::new(&args.source)).await?)
    };
    let answer = session
        .client
        .upload("/images/create", &query, content)
        .await?;
    follow(session, answer, false).await
}

pub(super) async fn pull(session: &mut Session, args: &PullArgs) -> Result<()> {
    if args.all_tags {
        return Err(Error::usage(
            "--all-tags is not available yet: pull the tags that you need one by one",
        ));
    }
    let given = Reference::parse(&args.image).map_err(Error::Usage)?;
    let defaulted = given.tag.is_none() && given.digest.is_none();
    let reference = given.with_default_tag();
    let tag = reference
        .digest
        .clone()
        .or_else(|| reference.tag.clone())
        .unwrap_or_default();
    if defaulted && !args.quiet {
        session.console.line(format!("Using default tag: {tag}"))?;
    }
    let mut query = vec![
        ("fromImage", reference.name.as_str()),
        ("tag", tag.as_str()),
    ];
    query.extend(
        args.platform
            .as_deref()
            .map(|platform| ("platform", platform)),
    );
    session.use_registry_auth(&args.image, false)?;
    let answer = session
        .client
        .stream(Method::POST, "/images/create", &query)
        .await?;
    follow(session, answer, args.quiet).await?;
    session.console.line(reference.to_string())
}

/// Shows the messages of a stream until it ends or tells of an error.
async fn follow(session: &mut Session, mut answer: Download, quiet: bool) -> Result<()> {
    let mut lines = Lines::default();
    let mut board = Board::default();
    while let Some(bytes) = answer.next().await? {
        for line in lines.push(&bytes) {
            show(session, &mut board, &line, quiet)?;
        }
    }
    match lines.finish() {
        Some(line) => show(session, &mut board, &line, quiet),
        None => Ok(()),
    }
}

fn show(session: &mut Session, board: &mut Board, line: &[u8], quiet: bool) -> Result<()> {
    let message: ProgressMessage = api_types::from_json(line)
        .map_err(|err| Error::Transport(format!("cannot read the daemon's progress: {err}")))?;
    let error = message
        .error_detail
        .map(|detail| detail.message)
        .filter(|text| !text.is_empty())
        .unwrap_or(message.error);
    if !error.is_empty() {
        return Err(Error::Failed(error));
    }
    if !message.stream.is_empty() {
        // What was loaded is the result, not progress.
        return session.console.write(message.stream.as_bytes());
    }
    if quiet || message.status.is_empty() {
        return Ok(());
    }
    if message.id.is_empty() {
        return session.console.line(&message.status);
    }
    let detail = message.progress_detail.unwrap_or_default();
    let text = match (session.console.redraws, detail.total) {
        (true, total) if total > 0 => {
            let done = bar(
                detail.current.unsigned_abs(),
                total.unsigned_abs(),
                BAR_WIDTH,
            );
            format!(
                "{} {done} {}/{}",
                message.status,
                human_size(detail.current, SIZE_DIGITS),
                human_size(total, SIZE_DIGITS)
            )
        }
        _ => message.status,
    };
    board.set(&mut session.console, &message.id, &text)
}
