//! The `filters` parameter of lists.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names of filters, each with the values that were asked for. Values of one name are alternatives, except labels: all must match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// Filters that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterError {
    /// Not JSON, or not a map of names to values.
    Malformed(String),
    /// A name that this list does not know.
    Unknown(String),
    /// A value that this filter does not know.
    Value {
        /// The filter's name.
        name: String,
        /// What was asked for.
        value: String,
    },
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            FilterError::Malformed(why) => write!(f, "invalid filter: {why}"),
            FilterError::Unknown(name) => write!(f, "invalid filter '{name}'"),
            FilterError::Value { name, value } => write!(f, "invalid filter '{name}={value}'"),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filters {
    /// No filters at all.
    pub fn new() -> Self {
        Filters::default()
    }

    /// Reads both forms, `{"name":{"a":true}}` and `{"name":["a"]}`; empty text is no filter.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Ok(Filters::default());
        }
        let value: Value =
            serde_json::from_str(text).map_err(|err| FilterError::Malformed(err.to_string()))?;
        let map = match value {
            Value::Null => return Ok(Filters::default()),
            Value::Object(map) => map,
            other => {
                return Err(FilterError::Malformed(format!(
                    "expected a map of names to values, got {other}"
                )));
            }
        };
        map.into_iter()
            .map(|(name, values)| Ok((name.clone(), read_values(&name, values)?)))
            .collect::<Result<_, _>>()
            .map(Filters)
    }

    /// Refuses names that are not in `allowed`.
    pub fn allow(&self, allowed: &[&str]) -> Result<(), FilterError> {
        match self.0.keys().find(|name| !allowed.contains(&name.as_str())) {
            Some(name) => Err(FilterError::Unknown(name.clone())),
            None => Ok(()),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.entry(name.into()).or_default().insert(value.into());
        self
    }

    /// Whether there is nothing to filter by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this name was asked for at all.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The values asked for, in order; none when the name is not there.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// True when the name was not asked for, or one of its values makes `matches` true.
    pub fn any(&self, name: &str, matches: impl FnMut(&str) -> bool) -> bool {
        self.0.get(name).is_none_or(|values| {
            values.is_empty() || values.iter().map(String::as_str).any(matches)
        })
    }

    /// True when the name was not asked for, or `value` is one of its values.
    pub fn exact(&self, name: &str, value: &str) -> bool {
        self.any(name, |wanted| wanted == value)
    }

    /// True when the name was not asked for, or `value` begins with one of its values (ids and names of swarm objects).
    pub fn prefix(&self, name: &str, value: &str) -> bool {
        self.any(name, |wanted| value.starts_with(wanted))
    }

    /// True when every value, `key` or `key=value`, is there in `labels`.
    pub fn labels(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values(name)
            .all(|wanted| match wanted.split_once('=') {
                Some((key, value)) => labels.get(key).is_some_and(|there| there == value),
                None => labels.contains_key(wanted),
            })
    }

    /// A yes-or-no filter such as `dangling`; none when it was not asked for.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, FilterError> {
        let Some(values) = self.0.get(name) else {
            return Ok(None);
        };
        let wrong = |value: &str| FilterError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let mut values = values.iter().map(String::as_str);
        match (values.next(), values.next()) {
            (Some("1" | "true"), None) => Ok(Some(true)),
            (Some("0" | "false"), None) => Ok(Some(false)),
            (first, second) => Err(wrong(second.or(first).unwrap_or(""))),
        }
    }

    /// The form that Docker's client sends.
    pub fn to_json(&self) -> String {
        let map: serde_json::Map<String, Value> = self
            .0
            .iter()
            .map(|(name, values)| {
                (
                    name.clone(),
                    values
                        .iter()
                        .map(|value| (value.clone(), json!(true)))
                        .collect::<Value>(),
                )
            })
            .collect();
        Value::Object(map).to_string()
    }
}

fn read_values(name: &str, values: Value) -> Result<BTreeSet<String>, FilterError> {
    let wrong = |value: &Value| {
        FilterError::Malformed(format!(
            "expected a list of values for '{name}', got {value}"
        ))
    };
    match values {
        Value::Object(map) => Ok(map
            .into_iter()
            .filter(|(_, on)| on.as_bool() != Some(false))
            .map(|(value, _)| value)
            .collect()),
        Value::Array(list) => list
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Ok(text),
                other => Err(wrong(&other)),
            })
            .collect(),
        other => Err(wrong(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_mean_the_same() {
        let map = Filters::parse(r#"{"name":{"a":true,"b":true,"c":false},"label":{"k=v":true}}"#)
            .unwrap();
        let list = Filters::parse(r#"{"name":["a","b"],"label":["k=v"]}"#).unwrap();
        assert_eq!(map, list);
        assert_eq!(
            list.to_json(),
            r#"{"label":{"k=v":true},"name":{"a":true,"b":true}}"#
        );
        assert!(
            Filters::parse("").unwrap().is_empty()
                && Filters::parse("null").unwrap().is_empty()
                && Filters::parse("{}").unwrap().is_empty()
        );
    }

    #[test]
    fn unknown_names_and_wrong_forms_are_refused() {
        let filters = Filters::parse(r#"{"nmae":["a"]}"#).unwrap();
        assert_eq!(
            filters.allow(&["name", "id"]).unwrap_err().to_string(),
            "invalid filter 'nmae'"
        );
        for text in ["[]", "{", r#"{"name":"a"}"#, r#"{"name":[1]}"#] {
            assert!(Filters::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn matching() {
        let filters =
            Filters::parse(r#"{"name":["we","db"],"label":["a","b=1"],"dangling":["true"]}"#)
                .unwrap();
        assert!(
            filters.prefix("name", "web")
                && !filters.exact("name", "web")
                && !filters.prefix("name", "x")
                && filters.prefix("id", "anything")
        );
        let labels = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect()
        };
        assert!(filters.labels("label", &labels(&[("a", "x"), ("b", "1")])));
        assert!(!filters.labels("label", &labels(&[("a", "x"), ("b", "2")])));
        assert_eq!(filters.boolean("dangling"), Ok(Some(true)));
        assert_eq!(filters.boolean("other"), Ok(None));
        assert_eq!(
            filters.boolean("name").unwrap_err().to_string(),
            "invalid filter 'name=we'"
        );
    }
}
