//! What every command needs: the daemon, and a place to write.

use crate::client::{Client, escape};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::reference::Reference;
use api_types::Filters;
use std::path::PathBuf;

/// One run of a command.
pub struct Session {
    /// The daemon.
    pub client: Client,
    /// Where results go.
    pub console: Console,
    /// Where credentials for registries are.
    pub config: Option<PathBuf>,
}

/// A path with somebody's words in it: `object("/services", "web", "/logs")`.
pub fn object(kind: &str, name: &str, rest: &str) -> Result<String> {
    if name.trim().is_empty() {
        return Err(Error::usage(format!(
            "an empty name or ID given for {}: name what you mean",
            kind.trim_start_matches('/')
        )));
    }
    Ok(format!("{kind}/{}{rest}", escape(name)))
}

/// `--filter name=value`, any number of times, into what the API takes.
pub fn filters(pairs: &[String]) -> Result<Filters> {
    let mut filters = Filters::new();
    // Docker's client takes an empty one for none.
    for pair in pairs.iter().filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            Error::BadFlag(format!(
                "invalid argument {pair:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            ))
        })?;
        filters.add(name.trim().to_ascii_lowercase(), value.trim());
    }
    Ok(filters)
}

/// The query parameter for filters, if there are any.
pub fn filter_query(filters: &Filters) -> Option<String> {
    (!filters.is_empty()).then(|| filters.to_json())
}

impl Session {
    /// Sends the credentials for an image's registry from now on, if there are any or if `always`.
    pub fn use_registry_auth(&self, image: &str, always: bool) -> Result<()> {
        let reference = Reference::parse(image).map_err(Error::Usage)?;
        let header = crate::auth::header(self.config.as_deref(), &reference)?;
        if always || header != crate::auth::NONE {
            self.client.use_registry_auth(&header)
        } else {
            Ok(())
        }
    }

    /// Does something for each of several names: says what went well, complains about the rest, and fails when something went wrong.
    pub async fn each(
        &mut self,
        names: &[String],
        mut act: impl AsyncFnMut(&mut Session, &str) -> Result<String>,
    ) -> Result<()> {
        let mut failed = false;
        for name in names {
            match act(self, name).await {
                Ok(text) if text.is_empty() => {}
                Ok(text) => self.console.line(text)?,
                Err(
                    err @ (Error::Output(_)
                    | Error::Connect { .. }
                    | Error::Permission { .. }
                    | Error::Detached),
                ) => return Err(err),
                Err(err) => {
                    failed = true;
                    self.console.complain(err.to_string());
                }
            }
        }
        if failed { Err(Error::Silent) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_from_flags() {
        let parsed = filters(&["name=a".into(), "label=k=v".into(), "NAME=b".into()]).unwrap();
        assert_eq!(
            filter_query(&parsed).unwrap(),
            r#"{"label":{"k=v":true},"name":{"a":true,"b":true}}"#
        );
        assert!(matches!(filters(&["name".into()]), Err(Error::BadFlag(_))));
        assert_eq!(filter_query(&filters(&[String::new()]).unwrap()), None);
        assert_eq!(filter_query(&filters(&[]).unwrap()), None);
    }

    #[test]
    fn paths() {
        assert_eq!(
            object("/services", "a b", "/logs").unwrap(),
            "/services/a%20b/logs"
        );
        assert!(object("/services", " ", "").is_err());
    }
}
