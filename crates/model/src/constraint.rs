//! Placement constraints: `key==value` and `key!=value` over what is known of a node.
//!
//! Grammar and comparison follow swarmkit (`manager/constraint/constraint.go`): keys of labels are
//! compared with case, values without; a label that is missing is the empty string.

use crate::Node;
use std::net::IpAddr;

/// One parsed constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    key: String,
    equal: bool,
    value: String,
}

/// Why a constraint could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// No operator.
    #[error("constraint expected one operator from ==, != in '{0}'")]
    NoOperator(String),
    /// The key has characters that keys do not have.
    #[error("key '{0}' is invalid: use letters, digits, '-', '_' and '.'")]
    Key(String),
    /// The value has characters that values do not have.
    #[error("value '{0}' is invalid")]
    Value(String),
    /// The key is none that a node has. (Docker accepts it and then finds no node.)
    #[error(
        "constraint key '{0}' is unknown: use node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.NAME or engine.labels.NAME"
    )]
    UnknownKey(String),
}

impl Constraint {
    /// Reads `expression`.
    pub fn parse(expression: &str) -> Result<Constraint, ConstraintError> {
        let (key, equal, value) = if let Some((key, value)) = expression.split_once("!=") {
            (key, false, value)
        } else if let Some((key, value)) = expression.split_once("==") {
            (key, true, value)
        } else {
            return Err(ConstraintError::NoOperator(expression.into()));
        };
        let (key, value) = (key.trim(), value.trim());
        let mut chars = key.bytes();
        let key_ok = key.len() >= 2
            && chars
                .next()
                .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && chars.all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !key_ok {
            return Err(ConstraintError::Key(key.into()));
        }
        let value_ok = !value.is_empty()
            && value.bytes().all(|b| {
                b.is_ascii_alphanumeric()
                    || b.is_ascii_whitespace()
                    || b":-_.*()?+[]\\^$|/".contains(&b)
            });
        if !value_ok {
            return Err(ConstraintError::Value(value.into()));
        }
        let known = [
            "node.id",
            "node.hostname",
            "node.ip",
            "node.role",
            "node.platform.os",
            "node.platform.arch",
        ];
        let is_label = |prefix: &str| key.len() > prefix.len() && key.starts_with(prefix);
        if !(known.iter().any(|k| k.eq_ignore_ascii_case(key))
            || is_label("node.labels.")
            || is_label("engine.labels."))
        {
            return Err(ConstraintError::UnknownKey(key.into()));
        }
        Ok(Constraint {
            key: key.into(),
            equal,
            value: value.into(),
        })
    }

    /// What it looks at: `node.id`, `node.labels.disk`, …
    pub fn key(&self) -> &str {
        &self.key
    }
    /// The value that it asks for; absent for one that asks for any other value.
    pub fn wanted(&self) -> Option<&str> {
        self.equal.then_some(&self.value)
    }

    /// Whether `node` satisfies it.
    pub fn matches(&self, node: &Node) -> bool {
        let description = node.description.as_ref();
        let same = |actual: &str| actual.eq_ignore_ascii_case(&self.value);
        let is = if let Some(label) = self.key.strip_prefix("node.labels.") {
            same(node.spec.labels.get(label).map_or("", String::as_str))
        } else if let Some(label) = self.key.strip_prefix("engine.labels.") {
            same(
                description
                    .and_then(|d| d.engine_labels.get(label))
                    .map_or("", String::as_str),
            )
        } else {
            match self.key.to_ascii_lowercase().as_str() {
                "node.id" => same(node.id.as_str()),
                "node.hostname" => same(description.map_or("", |d| &d.hostname)),
                "node.ip" => ip_matches(&node.status.addr, &self.value),
                "node.role" => same(node.role.name()),
                "node.platform.os" => same(description.map_or("", |d| &d.platform.os)),
                "node.platform.arch" => same(description.map_or("", |d| &d.platform.architecture)),
                _ => return false,
            }
        };
        is == self.equal
    }
}

/// `pattern` is an address or a CIDR block.
fn ip_matches(addr: &str, pattern: &str) -> bool {
    let Ok(addr) = addr.parse::<IpAddr>() else {
        return false;
    };
    let (network, bits) = match pattern.split_once('/') {
        None => return pattern.parse::<IpAddr>() == Ok(addr),
        Some((network, bits)) => (network.parse::<IpAddr>(), bits.parse::<u32>()),
    };
    match (addr, network, bits) {
        (IpAddr::V4(a), Ok(IpAddr::V4(n)), Ok(bits)) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            u32::from(a) & mask == u32::from(n) & mask
        }
        (IpAddr::V6(a), Ok(IpAddr::V6(n)), Ok(bits)) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            u128::from(a) & mask == u128::from(n) & mask
        }
        _ => false,
    }
}

/// Reads all of `expressions`.
pub fn parse_all(expressions: &[String]) -> Result<Vec<Constraint>, ConstraintError> {
    expressions.iter().map(|e| Constraint::parse(e)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{NodeDescription, NodeSpec, NodeStatus, Role};
    use crate::{Labels, Meta, NodeId};

    fn node() -> Node {
        Node {
            id: NodeId::from("n1"),
            meta: Meta::default(),
            spec: NodeSpec {
                labels: Labels::from([("disk".into(), "SSD".into())]),
                ..Default::default()
            },
            role: Role::Manager,
            description: Some(NodeDescription {
                hostname: "Alpha".into(),
                ..Default::default()
            }),
            status: NodeStatus {
                addr: "10.1.2.3".into(),
                ..Default::default()
            },
            manager: None,
        }
    }

    #[track_caller]
    fn check(expression: &str, expected: Result<bool, &str>) {
        let actual = Constraint::parse(expression).map(|c| c.matches(&node()));
        match (actual, expected) {
            (Ok(actual), Ok(expected)) => assert_eq!(actual, expected, "{expression}"),
            (Err(actual), Err(expected)) => assert!(
                actual.to_string().contains(expected),
                "{expression}: {actual}"
            ),
            (actual, expected) => panic!("{expression}: {actual:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn constraints_match_as_swarmkit_does() {
        check("node.labels.disk==ssd", Ok(true));
        check("node.labels.disk != ssd", Ok(false));
        check("node.labels.Disk==ssd", Ok(false));
        check("node.labels.none!=x", Ok(true));
        check("node.hostname == alpha", Ok(true));
        check("NODE.HOSTNAME==alpha", Ok(true));
        check("node.role==manager", Ok(true));
        check("node.ip==10.1.0.0/16", Ok(true));
        check("node.ip==10.2.0.0/16", Ok(false));
        check("node.ip!=10.1.2.3", Ok(false));
        check("node.id==n1", Ok(true));
        check("engine.labels.x==", Err("value"));
        check("node.labels.disk=ssd", Err("operator"));
        check("1a==b", Err("key"));
        check("node.colour==red", Err("unknown"));
        check("node.labels.==red", Err("unknown"));
    }
}
