//! `image ls` and `image history`.

use super::{HistoryArgs, ListArgs};
use crate::error::Result;
use crate::listing::{Layout, Row, row};
use crate::reference::Reference;
use crate::session::{Session, filter_query, filters, object};
use crate::table::{ellipsis, short_id};
use crate::units::{human_duration, human_size};
use api_types::Timestamp;
use api_types::image::{HistoryItem, Summary};

const HEADINGS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "SIZE"),
];
const LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
};
const DIGEST_LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}",
};
const HISTORY_LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
    table: r"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
};
const NONE: &str = "<none>";
/// The longest instruction in `history`, unless everything is wanted.
const INSTRUCTION_WIDTH: usize = 45;
/// Significant digits of sizes.
const DIGITS: usize = 3;
/// The old field has one more.
const VIRTUAL_DIGITS: usize = 4;

pub(super) async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    let mut wanted = filters(&args.filter)?;
    if let Some(name) = &args.name {
        wanted.add("reference", name);
    }
    let wanted = filter_query(&wanted);
    let mut query: Vec<(&str, &str)> = wanted
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    if args.all {
        query.push(("all", "1"));
    }
    let images: Vec<Summary> = session.client.get("/images/json", &query).await?;
    let digests = args.digests
        || args
            .format
            .format
            .as_deref()
            .is_some_and(|format| format.contains(".Digest"));
    let now = Timestamp::now();
    let rows = images.iter().flat_map(|image| {
        names(image, digests)
            .into_iter()
            .map(|name| image_row(image, name, args.no_trunc, now))
            .collect::<Vec<_>>()
    });
    let rows = rows.collect();
    args.format.write(
        session,
        if args.digests {
            &DIGEST_LAYOUT
        } else {
            &LAYOUT
        },
        rows,
    )
}

struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// A line for each name of an image, or one without a name.
fn names(image: &Summary, with_digests: bool) -> Vec<Name> {
    let parse = |names: &[String]| {
        names
            .iter()
            .filter_map(|name| Reference::parse(name).ok())
            .collect::<Vec<_>>()
    };
    let (tags, digests) = (parse(&image.repo_tags), parse(&image.repo_digests));
    let name = |repository: &str, tag: &str, digest: &str| Name {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: digest.to_owned(),
    };
    let mut names = Vec::new();
    for tagged in &tags {
        let tag = tagged.tag.as_deref().unwrap_or(NONE);
        let of_name: Vec<&str> = digests
            .iter()
            .filter(|digest| with_digests && digest.name == tagged.name)
            .filter_map(|digest| digest.digest.as_deref())
            .collect();
        if of_name.is_empty() {
            names.push(name(&tagged.name, tag, NONE));
        }
        names.extend(
            of_name
                .into_iter()
                .map(|digest| name(&tagged.name, tag, digest)),
        );
    }
    for digest in digests
        .iter()
        .filter(|digest| !tags.iter().any(|tagged| tagged.name == digest.name))
    {
        names.push(name(
            &digest.name,
            NONE,
            if with_digests {
                digest.digest.as_deref().unwrap_or(NONE)
            } else {
                NONE
            },
        ));
    }
    if names.is_empty() {
        names.push(name(NONE, NONE, NONE));
    }
    names
}

fn image_row(image: &Summary, name: Name, no_trunc: bool, now: Timestamp) -> Row {
    let counted = |count: i64, text: String| if count == -1 { "N/A".to_owned() } else { text };
    let created = Timestamp::new(image.created, 0);
    row([
        ("Repository", name.repository.into()),
        ("Tag", name.tag.into()),
        ("Digest", name.digest.into()),
        (
            "ID",
            if no_trunc {
                image.id.clone()
            } else {
                short_id(&image.id)
            }
            .into(),
        ),
        ("CreatedSince", ago(created, now).into()),
        ("CreatedAt", go_time(created).into()),
        ("Size", human_size(image.size, DIGITS).into()),
        (
            "Containers",
            counted(image.containers, image.containers.to_string()).into(),
        ),
        (
            "SharedSize",
            counted(image.shared_size, human_size(image.shared_size, DIGITS)).into(),
        ),
        (
            "UniqueSize",
            counted(
                image.shared_size,
                human_size(image.size - image.shared_size, DIGITS),
            )
            .into(),
        ),
        ("VirtualSize", human_size(image.size, VIRTUAL_DIGITS).into()),
    ])
}

/// How long ago; nothing for images that do not say when they were made.
fn ago(created: Timestamp, now: Timestamp) -> String {
    if created.is_zero() || created.unix_seconds() == 0 {
        String::new()
    } else {
        format!("{} ago", human_duration(now.since(created)))
    }
}

/// A time as Go prints it by itself.
pub(crate) fn go_time(time: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = time.civil();
    let fraction = match time.subsec_nanos() {
        0 => String::new(),
        nanos => format!(".{}", format!("{nanos:09}").trim_end_matches('0')),
    };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} +0000 UTC")
}

pub(super) async fn history(session: &mut Session, args: &HistoryArgs) -> Result<()> {
    let items: Vec<HistoryItem> = session
        .client
        .get(&object("/images", &args.image, "/history")?, &[])
        .await?;
    let now = Timestamp::now();
    let human = args.human.unwrap_or(true);
    let rows = items
        .iter()
        .map(|item| history_row(item, human, args.no_trunc, now))
        .collect();
    args.format.write(session, &HISTORY_LAYOUT, rows)
}

fn history_row(item: &HistoryItem, human: bool, no_trunc: bool, now: Timestamp) -> Row {
    let created = Timestamp::new(item.created, 0);
    let since = match ago(created, now) {
        since if human && since.is_empty() => "N/A".to_owned(),
        since if human => since,
        _ => created.to_string(),
    };
    let by = item.created_by.replace('\t', " ");
    row([
        (
            "ID",
            if no_trunc {
                item.id.clone()
            } else {
                short_id(&item.id)
            }
            .into(),
        ),
        ("CreatedSince", since.into()),
        ("CreatedAt", created.to_string().into()),
        (
            "CreatedBy",
            if no_trunc {
                by
            } else {
                ellipsis(&by, INSTRUCTION_WIDTH)
            }
            .into(),
        ),
        (
            "Size",
            if human {
                human_size(item.size, DIGITS)
            } else {
                item.size.to_string()
            }
            .into(),
        ),
        ("Comment", item.comment.clone().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_name() {
        let image = Summary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["nginx:1".into(), "localhost:5000/n:2".into()],
            repo_digests: vec!["nginx@sha256:aa".into(), "other@sha256:bb".into()],
            created: 1_000_000,
            size: 7_674_000,
            shared_size: -1,
            ..Summary::default()
        };
        let lines = |digests: bool| {
            names(&image, digests)
                .into_iter()
                .map(|name| format!("{} {} {}", name.repository, name.tag, name.digest))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            lines(false),
            [
                "nginx 1 <none>",
                "localhost:5000/n 2 <none>",
                "other <none> <none>"
            ]
        );
        assert_eq!(
            lines(true),
            [
                "nginx 1 sha256:aa",
                "localhost:5000/n 2 <none>",
                "other <none> sha256:bb"
            ]
        );
        let row = image_row(
            &image,
            names(&image, false).remove(0),
            false,
            Timestamp::new(1_000_060, 0),
        );
        assert_eq!(
            (
                row["ID"].as_str(),
                row["CreatedSince"].as_str(),
                row["Size"].as_str(),
                row["SharedSize"].as_str()
            ),
            (
                Some("0123456789ab"),
                Some("About a minute ago"),
                Some("7.67MB"),
                Some("N/A")
            )
        );
        assert_eq!(names(&Summary::default(), false)[0].repository, NONE);
    }
}
