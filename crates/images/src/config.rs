//! The `config` object of an image: how its containers are run unless told otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// How containers of an image run. Field names and meaning are Docker's and the OCI image specification's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`; empty is root.
    #[serde(deserialize_with = "null_is_default")]
    pub user: String,
    /// `80/tcp`.
    #[serde(
        skip_serializing_if = "StringSet::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub exposed_ports: StringSet,
    /// `NAME=value`.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// What is run before the command's words; none and empty are the same.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// The default command, or the default arguments of the entrypoint.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// Paths that get an anonymous volume.
    #[serde(
        skip_serializing_if = "StringSet::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub volumes: StringSet,
    /// Empty is `/`.
    #[serde(deserialize_with = "null_is_default")]
    pub working_dir: String,
    /// Labels of the image.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks a container to end, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Seconds to wait after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The health check as it stands in the image (`Test`, and durations in nanoseconds).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Value>,
    /// Instructions for a build on top of this image.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub on_build: Vec<String>,
    /// The shell of shell-form commands in a build.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub shell: Option<Vec<String>>,
    /// Everything else that stood there, so that `inspect` shows it.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A set of texts; in JSON an object with empty objects, as Go marshals `map[string]struct{}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringSet(pub std::collections::BTreeSet<String>);

impl StringSet {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Serialize for StringSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|key| (key, serde_json::Map::new())))
    }
}

impl<'de> Deserialize<'de> for StringSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Value>::deserialize(deserializer)?;
        Ok(Self(map.into_keys().collect()))
    }
}

/// Go writes an empty slice or map as `null`.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A list of words; images of old Docker versions have one string.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(
        Option::<Words>::deserialize(deserializer)?.map(|words| match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes() {
        let config: ImageConfig = serde_json::from_str(
            r#"{"Hostname":"","User":"nobody","ExposedPorts":{"80/tcp":{}},"Env":null,"Cmd":"sh","Entrypoint":null,
                "Volumes":null,"Labels":{"a":"b"},"Healthcheck":{"Test":["NONE"]},"OnBuild":null,"StopSignal":"SIGQUIT"}"#,
        )
        .unwrap();
        assert_eq!(config.user, "nobody");
        assert_eq!(config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(config.entrypoint, None);
        assert_eq!(config.exposed_ports.iter().collect::<Vec<_>>(), ["80/tcp"]);
        assert_eq!(config.other["Hostname"], "");
        let back = serde_json::to_value(&config).unwrap();
        assert_eq!(back["ExposedPorts"], serde_json::json!({"80/tcp": {}}));
        assert_eq!(back["Healthcheck"], serde_json::json!({"Test": ["NONE"]}));
        assert_eq!(back["Hostname"], "");
    }
}
