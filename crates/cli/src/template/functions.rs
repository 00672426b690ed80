//! The functions of templates, and how values are printed.

use super::Missing;
use super::eval::Found;
use serde_json::Value;
use std::cmp::Ordering;

/// How a template is filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    pub(super) missing: Missing,
    /// For the headings of a table, which functions leave as they are.
    pub(super) headings: bool,
}

const KNOWN: &[&str] = &[
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "eq", "ne", "lt",
    "le", "gt", "ge", "json", "join", "upper", "lower", "title", "split", "pad", "truncate",
];

pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name)
}

/// What Go calls true: not zero, not empty, not nil.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// A value as Go's `%v` prints it.
pub fn print(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(print).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => format!(
            "map[{}]",
            map.iter()
                .map(|(key, value)| format!("{key}:{}", print(value)))
                .collect::<Vec<_>>()
                .join(" ")
        ),
    }
}

/// Fields that the daemon leaves out when they are empty, and are no text: what they are then.
const EMPTY_NUMBERS: &[&str] = &[
    "Slot",
    "NanoCPUs",
    "MemoryBytes",
    "Pids",
    "Index",
    "Delay",
    "Monitor",
    "Nodes",
    "Managers",
    "PublishedPort",
    "TargetPort",
    "MaxReplicas",
    "OomScoreAdj",
    "SnapshotInterval",
    "ForceRotate",
    "HeartbeatPeriod",
    "NodeCertExpiry",
    "SizeRw",
    "SizeRootFs",
    "Parallelism",
    "Interval",
    "Timeout",
    "StartPeriod",
    "StartInterval",
    "Retries",
    "Hard",
    "Soft",
    "SizeBytes",
    "RunningTasks",
    "DesiredTasks",
    "CompletedTasks",
];
const EMPTY_FLAGS: &[&str] = &["Leader", "TTY", "OpenStdin", "ReadOnly", "Experimental"];
const EMPTY_LISTS: &[&str] = &[
    "Env",
    "Args",
    "Command",
    "Mounts",
    "Constraints",
    "Preferences",
    "Ports",
    "Networks",
    "Secrets",
    "Configs",
    "Warnings",
    "NetworksAttachments",
    "Plugins",
    "CapabilityAdd",
    "CapabilityDrop",
    "Groups",
    "Hosts",
    "Ulimits",
    "GenericResources",
    "Platforms",
    "Nameservers",
    "Search",
    "Aliases",
    "VirtualIPs",
    "ExternalCAs",
    "Test",
];
const EMPTY_MAPS: &[&str] = &["Sysctls", "DriverOpts"];
/// What Go prints of a pointer to nothing.
const EMPTY_POINTERS: &[&str] = &[
    "PreviousSpec",
    "UpdateStatus",
    "UpdateConfig",
    "RollbackConfig",
    "EndpointSpec",
    "ServiceStatus",
    "JobStatus",
    "JobIteration",
    "ManagerStatus",
    "ContainerStatus",
    "ContainerSpec",
    "Resources",
    "Limits",
    "Reservations",
    "RestartPolicy",
    "MaxAttempts",
    "Window",
    "Placement",
    "LogDriver",
    "Healthcheck",
    "Privileges",
    "DNSConfig",
    "Init",
    "StopGracePeriod",
    "Replicated",
    "Global",
    "ReplicatedJob",
    "GlobalJob",
    "Replicas",
    "MaxConcurrent",
    "TotalCompletions",
    "TaskHistoryRetentionLimit",
    "KeepOldSnapshots",
    "Driver",
    "Templating",
    "BindOptions",
    "VolumeOptions",
    "TmpfsOptions",
    "File",
    "Runtime",
];
const EMPTY_TEXTS: &[&str] = &[
    "Err",
    "Message",
    "Name",
    "NodeID",
    "ServiceID",
    "Hostname",
    "User",
    "Dir",
    "StopSignal",
    "Image",
    "Addr",
    "State",
    "DesiredState",
    "Runtime",
    "Condition",
    "Mode",
    "Author",
    "Comment",
    "Variant",
    "Isolation",
    "FailureAction",
    "Order",
    "Source",
    "Target",
    "Propagation",
    "Protocol",
    "PublishMode",
    "Role",
    "Availability",
    "Reachability",
    "Architecture",
    "OS",
    "EngineVersion",
    "Data",
    "CompletedAt",
    "StartedAt",
];

pub(super) fn print_found(found: &Found, context: Context) -> Result<String, String> {
    let Some(name) = found
        .absent
        .as_deref()
        .filter(|_| context.missing == Missing::Empty)
    else {
        return Ok(print(&found.value));
    };
    match name {
        _ if EMPTY_NUMBERS.contains(&name) => Ok("0".to_owned()),
        _ if EMPTY_FLAGS.contains(&name) => Ok("false".to_owned()),
        _ if EMPTY_LISTS.contains(&name) => Ok("[]".to_owned()),
        _ if EMPTY_MAPS.contains(&name) => Ok("map[]".to_owned()),
        _ if EMPTY_TEXTS.contains(&name) => Ok(String::new()),
        _ if EMPTY_POINTERS.contains(&name) => Ok("<nil>".to_owned()),
        _ => Err(format!("map has no entry for key {name:?}")),
    }
}

/// `.Label "key"`: the value of a label, empty when it is not there.
pub(super) fn label(labels: &Value, name: &Value) -> Result<Found, String> {
    let key = name.as_str().ok_or("Label wants the name of a label")?;
    Ok(match labels {
        Value::Object(map) => map.get(key).cloned().unwrap_or_else(|| "".into()).into(),
        heading => heading.clone().into(),
    })
}

pub(super) fn call(name: &str, arguments: Vec<Found>, context: Context) -> Result<Found, String> {
    let values: Vec<Value> = arguments.iter().map(|found| found.value.clone()).collect();
    let texts = || values.iter().map(print).collect::<Vec<_>>();
    let value: Value = match name {
        "and" => return pick(arguments, name, false),
        "or" => return pick(arguments, name, true),
        "not" => (!truth(one(&values, name)?)).into(),
        "eq" => equal(&values)?.into(),
        "ne" => (!equal(&values)?).into(),
        "lt" => (compare(&values, name)? == Ordering::Less).into(),
        "le" => (compare(&values, name)? != Ordering::Greater).into(),
        "gt" => (compare(&values, name)? == Ordering::Greater).into(),
        "ge" => (compare(&values, name)? != Ordering::Less).into(),
        "len" => length(one(&values, name)?)?.into(),
        "index" => return index(&values),
        "slice" => slice(&values)?,
        "print" => texts().concat().into(),
        "println" => format!("{}\n", texts().join(" ")).into(),
        "printf" => printf(&values)?.into(),
        "pad" => pad(&values)?.into(),
        // The text comes first: `truncate .ID 5`.
        _ if context.headings => values.first().cloned().unwrap_or_default(),
        "json" => serde_json::to_string(one(&values, name)?)
            .map_err(|err| err.to_string())?
            .into(),
        "upper" => text(one(&values, name)?, name)?.to_uppercase().into(),
        "lower" => text(one(&values, name)?, name)?.to_lowercase().into(),
        "title" => title(text(one(&values, name)?, name)?).into(),
        "join" => join(&values)?.into(),
        "split" => split(&values)?,
        "truncate" => truncate(&values)?.into(),
        _ => return Err(format!("function {name:?} not defined")),
    };
    Ok(value.into())
}

fn wrong_count(name: &str, want: &str, got: usize) -> String {
    format!("wrong number of args for {name}: want {want} got {got}")
}

fn one<'a>(values: &'a [Value], name: &str) -> Result<&'a Value, String> {
    match values {
        [value] => Ok(value),
        _ => Err(wrong_count(name, "1", values.len())),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Ok(""),
        other => Err(format!(
            "wrong type for {name}: expected text, got {}",
            print(other)
        )),
    }
}

fn pick(arguments: Vec<Found>, name: &str, wanted: bool) -> Result<Found, String> {
    let count = arguments.len();
    let mut last = None;
    for found in arguments {
        if truth(&found.value) == wanted {
            return Ok(found);
        }
        last = Some(found);
    }
    last.ok_or_else(|| wrong_count(name, "at least 1", count))
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        // A field that the daemon left out is empty text or zero, and people compare with that.
        (Value::Null, other) | (other, Value::Null) => !truth(other),
        (a, b) => a == b,
    }
}

fn equal(values: &[Value]) -> Result<bool, String> {
    match values {
        [first, others @ ..] if !others.is_empty() => {
            Ok(others.iter().any(|other| same(first, other)))
        }
        _ => Err("missing argument for comparison".to_owned()),
    }
}

fn compare(values: &[Value], name: &str) -> Result<Ordering, String> {
    match values {
        [Value::Number(a), Value::Number(b)] => Ok(a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal)),
        [Value::String(a), Value::String(b)] => Ok(a.cmp(b)),
        [_, _] => Err(format!("incompatible types for comparison in {name}")),
        _ => Err(wrong_count(name, "2", values.len())),
    }
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::Array(list) => Ok(list.len()),
        Value::Object(map) => Ok(map.len()),
        Value::Null => Ok(0),
        other => Err(format!("len of {}", print(other))),
    }
}

fn index(values: &[Value]) -> Result<Found, String> {
    let (first, keys) = values
        .split_first()
        .ok_or_else(|| wrong_count("index", "at least 1", 0))?;
    let mut current: Found = first.clone().into();
    for key in keys {
        current = match (&current.value, key) {
            (Value::Object(map), Value::String(key)) => {
                map.get(key).cloned().unwrap_or_else(|| "".into()).into()
            }
            (Value::Array(list), Value::Number(number)) => {
                let at = number.as_u64().and_then(|at| usize::try_from(at).ok());
                at.and_then(|at| list.get(at))
                    .cloned()
                    .ok_or_else(|| format!("index out of range: {number}"))?
                    .into()
            }
            (Value::Null, _) => return Err("index of nothing".to_owned()),
            (value, key) => {
                return Err(format!("can't index {} with {}", print(value), print(key)));
            }
        };
    }
    Ok(current)
}

fn slice(values: &[Value]) -> Result<Value, String> {
    let (first, bounds) = values
        .split_first()
        .ok_or_else(|| wrong_count("slice", "at least 1", 0))?;
    let bound = |at: usize, default: usize| {
        bounds.get(at).map_or(Some(default), |value| {
            value.as_u64().and_then(|at| usize::try_from(at).ok())
        })
    };
    let range = |len: usize| match (bound(0, 0), bound(1, len)) {
        (Some(from), Some(to)) if from <= to && to <= len => Ok(from..to),
        _ => Err("index out of range in slice".to_owned()),
    };
    match first {
        Value::String(text) => text
            .get(range(text.len())?)
            .map(Into::into)
            .ok_or_else(|| "slice cuts a character".to_owned()),
        Value::Array(list) => Ok(Value::Array(list[range(list.len())?].to_vec())),
        other => Err(format!("slice of {}", print(other))),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let shown = if start {
                c.to_uppercase().next().unwrap_or(c)
            } else {
                c
            };
            start = !c.is_alphanumeric();
            shown
        })
        .collect()
}

fn join(values: &[Value]) -> Result<String, String> {
    let [list, separator] = values else {
        return Err(wrong_count("join", "2", values.len()));
    };
    let separator = text(separator, "join")?;
    match list {
        Value::Array(list) => Ok(list.iter().map(print).collect::<Vec<_>>().join(separator)),
        Value::Null => Ok(String::new()),
        other => Err(format!(
            "wrong type for join: expected a list, got {}",
            print(other)
        )),
    }
}

fn split(values: &[Value]) -> Result<Value, String> {
    let [whole, separator] = values else {
        return Err(wrong_count("split", "2", values.len()));
    };
    let (whole, separator) = (text(whole, "split")?, text(separator, "split")?);
    Ok(if separator.is_empty() {
        whole.chars().map(|c| Value::from(c.to_string())).collect()
    } else {
        whole.split(separator).map(Value::from).collect()
    })
}

fn count(value: &Value, name: &str) -> Result<usize, String> {
    value
        .as_u64()
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| {
            format!(
                "wrong type for {name}: expected a number, got {}",
                print(value)
            )
        })
}

fn truncate(values: &[Value]) -> Result<String, String> {
    let [whole, length] = values else {
        return Err(wrong_count("truncate", "2", values.len()));
    };
    Ok(text(whole, "truncate")?
        .chars()
        .take(count(length, "truncate")?)
        .collect())
}

fn pad(values: &[Value]) -> Result<String, String> {
    let [whole, before, after] = values else {
        return Err(wrong_count("pad", "3", values.len()));
    };
    let whole = text(whole, "pad")?;
    if whole.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "{}{whole}{}",
        " ".repeat(count(before, "pad")?),
        " ".repeat(count(after, "pad")?)
    ))
}

/// The verbs of Go's Printf that make sense for JSON: `%s %v %d %q %t %f %x`, with width, `-`, `0` and precision.
fn printf(values: &[Value]) -> Result<String, String> {
    let (format, arguments) = values
        .split_first()
        .ok_or_else(|| wrong_count("printf", "at least 1", 0))?;
    let mut arguments = arguments.iter();
    let mut chars = text(format, "printf")?.chars().peekable();
    let mut out = String::new();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut options = String::new();
        while let Some(option) =
            chars.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '+' | '#'))
        {
            options.push(option);
        }
        match chars.next() {
            Some('%') => out.push('%'),
            None => out.push_str("%!(NOVERB)"),
            Some(verb) => match arguments.next() {
                Some(value) => out.push_str(&verb_text(verb, &options, value)),
                None => out.push_str(&format!("%!{verb}(MISSING)")),
            },
        }
    }
    Ok(out)
}

fn verb_text(verb: char, options: &str, value: &Value) -> String {
    let (width, precision) = options.split_once('.').unwrap_or((options, ""));
    let left = width.contains('-');
    let zeros = width.starts_with('0') && !left;
    let width: usize = width.trim_matches(['-', '+', '#']).parse().unwrap_or(0);
    let precision: Option<usize> = precision.parse().ok();
    let shown = match (verb, value) {
        ('q', value) => format!("{:?}", print(value)),
        ('f', Value::Number(number)) => format!(
            "{:.*}",
            precision.unwrap_or(6),
            number.as_f64().unwrap_or(0.0)
        ),
        ('x', Value::Number(number)) => number
            .as_i64()
            .map_or_else(|| number.to_string(), |number| format!("{number:x}")),
        ('d', Value::Number(_)) | ('t', Value::Bool(_)) | ('s' | 'v', _) => match precision {
            Some(precision) if verb == 's' => ellipsis_free(&print(value), precision),
            _ => print(value),
        },
        (verb, value) => format!("%!{verb}({})", print(value)),
    };
    // Nobody reads a table wider than this; the bound keeps a typing error from filling the memory.
    const MAX_WIDTH: usize = 10_000;
    let missing = width.min(MAX_WIDTH).saturating_sub(shown.chars().count());
    match (left, zeros) {
        (true, _) => shown + &" ".repeat(missing),
        (false, true) => "0".repeat(missing) + &shown,
        (false, false) => " ".repeat(missing) + &shown,
    }
}

fn ellipsis_free(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}
