//! `version`.

use crate::error::Result;
use crate::session::Session;
use crate::template::{Missing, Template, unescape};
use api_types::system::VersionInfo;
use clap::Args;
use serde_json::{Value, json};

/// Flags of `version`.
#[derive(Debug, Clone, Default, Args)]
pub struct VersionArgs {
    /// Format the output: 'json', or a Go TEMPLATE such as '{{.Server.Version}}'
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Shows the versions of this program and of the daemon. Ours are shown also when there is no daemon.
pub async fn version(session: &mut Session, args: &VersionArgs) -> Result<()> {
    let server: Result<VersionInfo> = session.client.get("/version", &[]).await;
    let api = session
        .client
        .version()
        .await
        .unwrap_or_else(|_| api_types::API_VERSION.to_owned());
    let client = json!({
        "Platform": {"Name": "Starling"},
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": api,
        "APIVersion": api,
        "DefaultAPIVersion": api_types::API_VERSION,
        "Os": std::env::consts::OS,
        "Arch": architecture(),
        "Context": "default",
    });
    match args.format.as_deref().filter(|format| !format.is_empty()) {
        None => print(session, &client, server.as_ref().ok())?,
        Some(format) => {
            let server = server.as_ref().ok().map(|server| json!(server));
            session.console.line(
                template(format)?
                    .render(&json!({"Client": client, "Server": server}), Missing::Empty)?,
            )?;
        }
    }
    server.map(|_| ())
}

/// The processor in Go's spelling, as Docker prints it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn print(session: &mut Session, client: &Value, server: Option<&VersionInfo>) -> Result<()> {
    let text = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
    let downgraded = if text("ApiVersion") == text("DefaultAPIVersion") {
        String::new()
    } else {
        format!(" (downgraded from {})", text("DefaultAPIVersion"))
    };
    let mut lines = vec!["Client: Starling".to_owned()];
    lines.extend(fields(
        1,
        &[
            ("Version", text("Version")),
            ("API version", text("ApiVersion") + &downgraded),
            ("OS/Arch", format!("{}/{}", text("Os"), text("Arch"))),
        ],
    ));
    if let Some(server) = server {
        let name = if server.platform.name.is_empty() {
            String::new()
        } else {
            format!(" {}", server.platform.name)
        };
        lines.push(format!("\nServer:{name}"));
        for component in &server.components {
            lines.push(format!(" {}:", component.name));
            lines.extend(component_fields(component));
        }
        if server.components.is_empty() {
            lines.extend(fields(
                1,
                &[
                    ("Version", server.version.clone()),
                    ("API version", server.api_version.clone()),
                ],
            ));
        }
    }
    session.console.line(lines.join("\n"))
}

fn component_fields(component: &api_types::system::ComponentVersion) -> Vec<String> {
    let detail = |name: &str| component.details.get(name).cloned().unwrap_or_default();
    if component.name != "Engine" {
        let details = component
            .details
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        return fields(
            2,
            &std::iter::once(("Version", component.version.clone()))
                .chain(details)
                .collect::<Vec<_>>(),
        );
    }
    let api = format!(
        "{} (minimum version {})",
        detail("ApiVersion"),
        detail("MinAPIVersion")
    );
    let known = [
        ("Version", component.version.clone()),
        ("API version", api),
        ("Git commit", detail("GitCommit")),
        ("Built", detail("BuildTime")),
        ("OS/Arch", format!("{}/{}", detail("Os"), detail("Arch"))),
        ("Kernel", detail("KernelVersion")),
        ("Experimental", detail("Experimental")),
    ];
    fields(2, &known)
}

/// `name: value` lines with the values in a column; empty values are left out.
fn fields(depth: usize, pairs: &[(&str, String)]) -> Vec<String> {
    const VALUE_COLUMN: usize = 20;
    let width = VALUE_COLUMN - depth;
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{}{:<width$}{value}", " ".repeat(depth), format!("{name}:")))
        .collect()
}

/// The template of a `--format` flag.
pub(super) fn template(format: &str) -> Result<Template> {
    Template::parse(&if format == "json" {
        "{{json .}}".to_owned()
    } else {
        unescape(format)
    })
}
