//! `secret` and `config`: small files that the cluster keeps and gives to the containers that ask for them.

mod pretty;

use crate::error::{Error, Result};
use crate::inspect::{InspectFormat, inspect_pretty};
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::parse::lists::{label, map};
use crate::session::{Session, filter_query, filters, object};
use crate::units::human_duration;
use api_types::payload::{Secret, SecretSpec};
use api_types::{Driver, Filters, IdResponse, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use std::io::Read;

/// Secrets or configs; their JSON differs only in what is left out.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    path: &'static str,
    name: &'static str,
    layout: &'static Layout,
    /// The most that one holds, Docker's limit. Bytes.
    max_bytes: u64,
}

/// Never shown again once they are created.
pub const SECRETS: Kind = Kind {
    path: "/secrets",
    name: "secret",
    layout: &SECRET_LAYOUT,
    max_bytes: 500 << 10,
};
/// Readable by everybody who may talk to a manager.
pub const CONFIGS: Kind = Kind {
    path: "/configs",
    name: "config",
    layout: &CONFIG_LAYOUT,
    max_bytes: 1000 << 10,
};

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("CreatedAt", "CREATED"),
    ("UpdatedAt", "UPDATED"),
    ("Labels", "LABELS"),
    ("Label", ""),
];
const SECRET_LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
};
const CONFIG_LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}",
};

/// The verbs of secrets.
#[derive(Debug, Clone, Subcommand)]
pub enum SecretCommand {
    /// Create a secret from a file, or from what comes on standard input
    #[command(
        after_help = "Examples:\n  starling secret create db-password ./password.txt\n  printf %s \"$PASSWORD\" | starling secret create db-password -"
    )]
    Create(SecretCreateArgs),
    /// What configs have, too
    #[command(flatten)]
    Common(Verb),
}

/// The verbs of configs.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Create a config from a file, or from what comes on standard input
    #[command(after_help = "Example:\n  starling config create nginx-1 ./nginx.conf")]
    Create(ConfigCreateArgs),
    /// What secrets have, too
    #[command(flatten)]
    Common(Verb),
}

/// What secrets and configs have in common.
#[derive(Debug, Clone, Subcommand)]
pub enum Verb {
    /// List them
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show all details but a secret's content
    Inspect(InspectArgs),
    /// Change labels; the content never changes
    Update(UpdateArgs),
    /// Remove what no service uses
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
}

/// Flags of `secret create`.
#[derive(Debug, Clone, Default, Args)]
pub struct SecretCreateArgs {
    /// Its name
    #[arg(value_name = "SECRET")]
    pub name: String,
    /// Where its content is, - for standard input
    #[arg(value_name = "file|-")]
    pub file: Option<String>,
    /// Driver that finds the content elsewhere
    #[arg(short, long, value_name = "DRIVER")]
    pub driver: Option<String>,
    #[command(flatten)]
    pub(crate) common: CreateFlags,
}

/// Flags of `config create`.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigCreateArgs {
    /// Its name
    #[arg(value_name = "CONFIG")]
    pub name: String,
    /// Where its content is, - for standard input
    #[arg(value_name = "file|-")]
    pub file: String,
    #[command(flatten)]
    pub(crate) common: CreateFlags,
}

/// Flags of both.
#[derive(Debug, Clone, Default, Args)]
pub struct CreateFlags {
    /// Labels, as NAME=VALUE
    #[arg(short, long, value_name = "LABEL", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Fill the content in for each task; 'golang' is the only driver
    #[arg(long, value_name = "DRIVER")]
    pub template_driver: Option<String>,
}

/// Flags of `ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only those that match, as id=, name= or label=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// A form for people
    #[arg(long)]
    pub pretty: bool,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Flags of `update`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpdateArgs {
    /// Name or id
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Add or change a label, as NAME=VALUE
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub label_add: Vec<(String, String)>,
    /// Remove a label
    #[arg(long, value_name = "NAME")]
    pub label_rm: Vec<String>,
}

/// Flags of `rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// Names or ids
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

/// Does something with secrets.
pub async fn secret(session: &mut Session, command: &SecretCommand) -> Result<()> {
    match command {
        SecretCommand::Create(args) => {
            let data = match (&args.driver, args.file.as_deref()) {
                (Some(_), None) => String::new(),
                (Some(_), Some(_)) => {
                    return Err(Error::usage(
                        "When using secret driver secret data must be empty: leave the file out",
                    ));
                }
                (None, Some(file)) => content(SECRETS, file)?,
                (None, None) => {
                    return Err(Error::usage(
                        "secret file is required: name one, or - for standard input",
                    ));
                }
            };
            let driver = args.driver.clone().map(driver);
            create(session, SECRETS, &args.name, data, driver, &args.common).await
        }
        SecretCommand::Common(verb) => run(session, SECRETS, verb).await,
    }
}

/// Does something with configs.
pub async fn config(session: &mut Session, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Create(args) => {
            let data = content(CONFIGS, &args.file)?;
            create(session, CONFIGS, &args.name, data, None, &args.common).await
        }
        ConfigCommand::Common(verb) => run(session, CONFIGS, verb).await,
    }
}

async fn run(session: &mut Session, kind: Kind, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Ls(args) => list(session, kind, args).await,
        Verb::Inspect(args) => {
            let fetch =
                async |session: &mut Session, name: &str| inspect_one(session, kind, name).await;
            let pretty = args.pretty.then_some(match kind.name {
                "secret" => pretty::secret,
                _ => pretty::config,
            });
            inspect_pretty(session, &args.names, &args.format, pretty, fetch).await
        }
        Verb::Update(args) => update(session, kind, args).await,
        Verb::Rm(args) => {
            session
                .each(&args.names, async |session: &mut Session, name: &str| {
                    let path = object(kind.path, name, "")?;
                    session.client.delete(&path, &[]).await?;
                    Ok(name.to_owned())
                })
                .await
        }
    }
}

fn driver(name: String) -> Driver {
    Driver {
        name,
        ..Driver::default()
    }
}

/// The content as the API wants it: base64.
fn content(kind: Kind, file: &str) -> Result<String> {
    let cannot = |source| Error::File {
        what: format!("cannot read the content of the {} from {file}", kind.name),
        source,
    };
    let mut data = Vec::new();
    let limit = kind.max_bytes + 1;
    if file == "-" {
        std::io::stdin().lock().take(limit).read_to_end(&mut data)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(limit).read_to_end(&mut data))
    }
    .map_err(cannot)?;
    if data.len() as u64 > kind.max_bytes {
        return Err(Error::usage(format!(
            "{} data too large: at most {} bytes",
            kind.name, kind.max_bytes
        )));
    }
    Ok(STANDARD.encode(data))
}

async fn create(
    session: &mut Session,
    kind: Kind,
    name: &str,
    data: String,
    driver_: Option<Driver>,
    flags: &CreateFlags,
) -> Result<()> {
    let spec = SecretSpec {
        name: name.to_owned(),
        labels: map(&flags.label),
        data,
        driver: driver_,
        templating: flags.template_driver.clone().map(driver),
    };
    let path = format!("{}/create", kind.path);
    let created: IdResponse = session.client.post_json(&path, &[], Some(&spec)).await?;
    session.console.line(&created.id)
}

async fn list(session: &mut Session, kind: Kind, args: &ListArgs) -> Result<()> {
    let filters = filter_query(&filters(&args.filter)?);
    let query: Vec<(&str, &str)> = filters
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    let mut found: Vec<Secret> = session.client.get(kind.path, &query).await?;
    found.sort_by(|a, b| natural_order(&a.spec.name, &b.spec.name));
    let now = Timestamp::now();
    let rows = found.iter().map(|item| {
        let mut row = item_row(item, now);
        if kind.name == "config" {
            row.remove("Driver");
        }
        row
    });
    args.format.write(session, kind.layout, rows.collect())
}

fn item_row(item: &Secret, now: Timestamp) -> Row {
    let ago = |time: Timestamp| format!("{} ago", human_duration(now.since(time)));
    let labels = item
        .spec
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let driver = item.spec.driver.as_ref().map_or("", |driver| &driver.name);
    row([
        ("ID", item.id.clone().into()),
        ("Name", item.spec.name.clone().into()),
        ("Driver", driver.into()),
        ("CreatedAt", ago(item.created_at).into()),
        ("UpdatedAt", ago(item.updated_at).into()),
        ("Labels", labels.collect::<Vec<_>>().join(",").into()),
        ("Label", serde_json::json!(item.spec.labels)),
    ])
}

/// What the daemon says of one.
pub(crate) async fn inspect_one(
    session: &mut Session,
    kind: Kind,
    name: &str,
) -> Result<bytes::Bytes> {
    let path = object(kind.path, name, "")?;
    session.client.get_bytes(&path, &[]).await
}

async fn update(session: &mut Session, kind: Kind, args: &UpdateArgs) -> Result<()> {
    if args.label_add.is_empty() && args.label_rm.is_empty() {
        return Err(Error::usage(format!(
            "nothing to change: give --label-add or --label-rm (the content of a {0} never changes; create another {0} and give it to the services)",
            kind.name
        )));
    }
    let path = object(kind.path, &args.name, "")?;
    let mut item: Secret = session.client.get(&path, &[]).await?;
    for name in &args.label_rm {
        if item.spec.labels.remove(name).is_none() {
            return Err(Error::usage(format!(
                "key {name} doesn't exist in {}'s labels",
                kind.name
            )));
        }
    }
    item.spec.labels.extend(args.label_add.iter().cloned());
    let version = item.version.index.to_string();
    let path = object(kind.path, &item.id, "/update")?;
    session
        .client
        .post(&path, &[("version", &version)], Some(&item.spec))
        .await?;
    session.console.line(&args.name)
}

/// The id of the one with exactly this name, as a service's spec needs it.
pub(crate) async fn id_of(session: &Session, kind: Kind, name: &str) -> Result<String> {
    let mut filters = Filters::new();
    filters.add("name", name);
    let query = filter_query(&filters).unwrap_or_default();
    let found: Vec<Secret> = session
        .client
        .get(kind.path, &[("filters", &query)])
        .await?;
    // The filter matches beginnings of names.
    let exact = found.into_iter().find(|item| item.spec.name == name);
    exact.map(|item| item.id).ok_or_else(|| {
        Error::usage(format!(
            "{0} not found: {name} (create it first: starling {0} create {name} FILE)",
            kind.name
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_bounded() {
        let path = std::env::temp_dir().join(format!("starling-secret-{}", std::process::id()));
        let file = path.to_str().unwrap();
        std::fs::write(&path, "hello\n").unwrap();
        assert_eq!(content(SECRETS, file).unwrap(), "aGVsbG8K");
        std::fs::write(&path, vec![0; (500 << 10) + 1]).unwrap();
        let why = content(SECRETS, file).unwrap_err().to_string();
        assert_eq!(why, "secret data too large: at most 512000 bytes");
        assert!(content(CONFIGS, file).is_ok());
        std::fs::remove_file(&path).unwrap();
        assert!(content(CONFIGS, file).is_err());
    }

    #[test]
    fn a_line() {
        let now = Timestamp::new(1_000_000, 0);
        let mut item = Secret {
            id: "abc".into(),
            created_at: Timestamp::new(999_400, 0),
            updated_at: Timestamp::new(999_995, 0),
            ..Secret::default()
        };
        item.spec.name = "db".into();
        let text = Format::default()
            .render(&SECRET_LAYOUT, vec![item_row(&item, now)])
            .unwrap();
        assert_eq!(
            text,
            "ID        NAME      DRIVER    CREATED          UPDATED\nabc       db                  10 minutes ago   5 seconds ago\n"
        );
    }
}
