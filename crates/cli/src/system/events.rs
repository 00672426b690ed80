//! `events`.

use super::version::template;
use crate::client::Lines;
use crate::error::{Error, Result};
use crate::session::{Session, filter_query, filters};
use crate::template::{Missing, Template};
use api_types::Timestamp;
use api_types::events::Event;
use clap::Args;
use http::Method;

/// Flags of `events`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling events --filter type=service --since 10m\n  starling events --format json --since-index 4711"
)]
pub struct EventsArgs {
    /// Only those that match, as type=, event=, scope=, service=, node=, container= ...
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Begin here: a time such as 2026-11-21T10:00:00Z, or a duration such as 42m
    #[arg(long, value_name = "TIME", value_parser = crate::times::since)]
    pub since: Option<String>,
    /// End here
    #[arg(long, value_name = "TIME", value_parser = crate::times::since)]
    pub until: Option<String>,
    /// Go on behind this index, as '--format json' shows it with each event: nothing is lost or shown twice
    #[arg(long, value_name = "N", conflicts_with = "since")]
    pub since_index: Option<u64>,
    /// Format the output: 'json', or a Go TEMPLATE such as '{{.Type}} {{.Action}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Shows what happens, until there is nothing more or the user has enough of it.
pub async fn events(session: &mut Session, args: &EventsArgs) -> Result<()> {
    let template = args
        .format
        .as_deref()
        .filter(|format| !format.is_empty())
        .map(template)
        .transpose()?;
    let wanted = filter_query(&filters(&args.filter)?);
    let mut query: Vec<(&str, &str)> = wanted
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    query.extend(args.since.iter().map(|since| ("since", since.as_str())));
    let index = args.since_index.map(|index| index.to_string());
    query.extend(index.iter().map(|index| ("sinceIndex", index.as_str())));
    query.extend(args.until.iter().map(|until| ("until", until.as_str())));
    let mut stream = session
        .client
        .stream(Method::GET, "/events", &query)
        .await?;
    let mut lines = Lines::default();
    while let Some(bytes) = stream.next().await? {
        for line in lines.push(&bytes) {
            session.console.line(show(&line, template.as_ref())?)?;
        }
    }
    match lines.finish() {
        Some(line) => session.console.line(show(&line, template.as_ref())?),
        None => Ok(()),
    }
}

fn show(line: &[u8], template: Option<&Template>) -> Result<String> {
    let wrong = |why: api_types::DecodeError| Error::Answer {
        path: "/events".to_owned(),
        why: why.to_string(),
    };
    if let Some(template) = template {
        return template.render(&api_types::from_json(line).map_err(wrong)?, Missing::Empty);
    }
    let event: Event = api_types::from_json(line).map_err(wrong)?;
    let time = if event.time_nano != 0 {
        Timestamp::from_unix_nanos(event.time_nano)
    } else {
        Timestamp::new(event.time, 0)
    };
    let attributes: Vec<String> = event
        .actor
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let attributes = if attributes.is_empty() {
        String::new()
    } else {
        format!(" ({})", attributes.join(", "))
    };
    Ok(format!(
        "{} {} {} {}{attributes}",
        time.to_fixed_string(),
        event.kind,
        event.action,
        event.actor.id
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let event = br#"{"Type":"service","Action":"update","Actor":{"ID":"x","Attributes":{"name":"web","b":"c"}},"scope":"swarm","time":1,"timeNano":1000000001}"#;
        assert_eq!(
            show(event, None).unwrap(),
            "1970-01-01T00:00:01.000000001Z service update x (b=c, name=web)"
        );
        assert_eq!(
            show(
                event,
                Some(&Template::parse("{{.Type}} {{.Actor.Attributes.name}}").unwrap())
            )
            .unwrap(),
            "service web"
        );
        assert!(show(b"[]", None).is_err());
    }
}
