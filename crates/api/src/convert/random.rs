//! Random JSON: what is accepted is echoed as it was sent, and nothing makes the conversion or the validation fall over.

use super::{keep_unknown, service_spec, service_spec_out, settle_additions};
use crate::ApiError;
use crate::version::Version;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A key with a value, or nothing.
fn field(
    key: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Vec<(&'static str, Value)>> {
    prop_oneof![
        1 => Just(Vec::new()),
        1 => value.prop_map(move |value| vec![(key, value)]),
    ]
    .boxed()
}

fn object(fields: Vec<BoxedStrategy<Vec<(&'static str, Value)>>>) -> BoxedStrategy<Value> {
    fields
        .prop_map(|fields| {
            let fields: BTreeMap<_, _> = fields.into_iter().flatten().collect();
            json!(fields)
        })
        .boxed()
}

fn word() -> impl Strategy<Value = Value> {
    "[a-z]{1,5}".prop_map(Value::from)
}

fn of(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::sample::select(values).prop_map(Value::from)
}

fn list(item: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, 1..3).prop_map(Value::from)
}

fn number(range: std::ops::Range<i64>) -> impl Strategy<Value = Value> {
    range.prop_map(Value::from)
}

fn yes() -> Just<Value> {
    Just(json!(true))
}

fn labels() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z]{1,4}", "[a-z]{0,4}", 1..3).prop_map(|map| json!(map))
}

fn mount() -> BoxedStrategy<Value> {
    let bind = object(vec![
        field("Propagation", of(&["rprivate", "rslave"])),
        field("NonRecursive", yes()),
        field("CreateMountpoint", yes()),
    ]);
    let volume = object(vec![
        field("NoCopy", yes()),
        field("Labels", labels()),
        field("Subpath", word()),
        field("DriverConfig", Just(json!({"Name": "local"}))),
    ]);
    let tmpfs = object(vec![
        field("SizeBytes", number(1..9999)),
        field("Mode", number(1..0o1777)),
        field("Options", Just(json!([["noexec"], ["uid", "1"]]))),
    ]);
    let with =
        |kind: &'static str, source: Option<&'static str>, key, options: BoxedStrategy<Value>| {
            let mut fields = vec![
                Just(vec![("Type", json!(kind))]).boxed(),
                "/[a-z]{8}"
                    .prop_map(|target| vec![("Target", json!(target))])
                    .boxed(),
                field("ReadOnly", yes()),
                field("Consistency", of(&["cached"])),
                field(key, options),
            ];
            if let Some(source) = source {
                fields.push(Just(vec![("Source", json!(source))]).boxed());
            }
            object(fields)
        };
    prop_oneof![
        with("bind", Some("/src"), "BindOptions", bind),
        with("volume", Some("vol"), "VolumeOptions", volume),
        with("tmpfs", None, "TmpfsOptions", tmpfs),
    ]
    .boxed()
}

fn file() -> Just<Value> {
    Just(json!({"Name": "f", "UID": "0", "GID": "7", "Mode": 256}))
}

fn privileges() -> BoxedStrategy<Value> {
    let selinux = json!({"Disable": false, "User": "u", "Role": "", "Type": "t", "Level": ""});
    object(vec![
        Just(vec![("CredentialSpec", Value::Null)]).boxed(),
        prop_oneof![Just(Value::Null), Just(selinux)]
            .prop_map(|v| vec![("SELinuxContext", v)])
            .boxed(),
        field(
            "Seccomp",
            prop_oneof![
                of(&["default", "unconfined"]).prop_map(|mode| json!({"Mode": mode})),
                Just(json!({"Mode": "custom", "Profile": "e30="})),
            ],
        ),
        field(
            "AppArmor",
            of(&["default", "disabled"]).prop_map(|mode| json!({"Mode": mode})),
        ),
        any::<bool>()
            .prop_map(|on| vec![("NoNewPrivileges", json!(on))])
            .boxed(),
    ])
}

fn container() -> BoxedStrategy<Value> {
    let health = object(vec![
        field("Test", Just(json!(["CMD-SHELL", "true"]))),
        field("Interval", number(1_000_000..9_000_000)),
        field("Timeout", number(1_000_000..9_000_000)),
        field("StartPeriod", number(1_000_000..9_000_000)),
        field("StartInterval", number(1_000_000..9_000_000)),
        field("Retries", number(1..9)),
    ]);
    let dns = object(vec![
        field("Nameservers", Just(json!(["1.1.1.1"]))),
        field("Search", list(word())),
        field("Options", list(word())),
    ]);
    object(vec![
        Just(vec![("Image", json!("busybox:1"))]).boxed(),
        field("Labels", labels()),
        field("Command", list(word())),
        field("Args", list(word())),
        field("Hostname", word()),
        field("Env", list("[A-Z]{1,3}=[a-z]{0,3}".prop_map(Value::from))),
        field("Dir", "/[a-z]{1,3}".prop_map(Value::from)),
        field("User", word()),
        field("Groups", list(word())),
        field("Privileges", privileges()),
        field("Init", any::<bool>().prop_map(Value::from)),
        field("StopSignal", of(&["SIGINT", "9"])),
        field("TTY", yes()),
        field("OpenStdin", yes()),
        field("ReadOnly", yes()),
        field("Mounts", mount().prop_map(|mount| json!([mount]))),
        field("StopGracePeriod", number(0..i64::MAX)),
        field("Healthcheck", health),
        field("Hosts", Just(json!(["1.2.3.4 h"]))),
        field("DNSConfig", dns),
        field(
            "Secrets",
            file().prop_map(|f| json!([{"File": f, "SecretID": "i", "SecretName": "n"}])),
        ),
        field(
            "Configs",
            prop_oneof![
                file().prop_map(|f| json!([{"File": f, "ConfigID": "i", "ConfigName": "n"}])),
                Just(json!([{"Runtime": {}, "ConfigID": "i", "ConfigName": "n"}])),
            ],
        ),
        field("Isolation", of(&["default"])),
        field("Sysctls", Just(json!({"net.core.somaxconn": "1"}))),
        field("CapabilityAdd", list(of(&["CAP_KILL", "ALL"]))),
        field("CapabilityDrop", list(of(&["CHOWN", "CAP_SETUID"]))),
        field(
            "Ulimits",
            Just(json!([{"Name": "nofile", "Hard": 20, "Soft": 10}])),
        ),
        field("OomScoreAdj", number(1..1000)),
    ])
}

fn update_config() -> BoxedStrategy<Value> {
    object(vec![
        number(0..9).prop_map(|n| vec![("Parallelism", n)]).boxed(),
        field("Delay", number(1..9)),
        of(&["pause", "continue", "rollback"])
            .prop_map(|v| vec![("FailureAction", v)])
            .boxed(),
        field("Monitor", number(1..9)),
        prop::sample::select(vec![json!(0), json!(0.5), json!(1)])
            .prop_map(|v| vec![("MaxFailureRatio", v)])
            .boxed(),
        of(&["stop-first", "start-first"])
            .prop_map(|v| vec![("Order", v)])
            .boxed(),
    ])
}

fn template() -> BoxedStrategy<Value> {
    let limits = object(vec![
        field("NanoCPUs", number(1_000_000..9_000_000)),
        field("MemoryBytes", number(4 << 20..9 << 20)),
        field("Pids", number(1..9)),
    ]);
    let reservations = object(vec![
        field("NanoCPUs", number(1_000_000..9_000_000)),
        field("MemoryBytes", number(4 << 20..9 << 20)),
        field(
            "GenericResources",
            Just(json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}])),
        ),
    ]);
    let restart = object(vec![
        of(&["any", "none", "on-failure"])
            .prop_map(|v| vec![("Condition", v)])
            .boxed(),
        field("Delay", number(0..9)),
        number(0..9).prop_map(|n| vec![("MaxAttempts", n)]).boxed(),
        field("Window", number(1..9)),
    ]);
    let placement = object(vec![
        field("Constraints", Just(json!(["node.role==worker"]))),
        field(
            "Preferences",
            Just(json!([{"Spread": {"SpreadDescriptor": "node.labels.rack"}}])),
        ),
        field(
            "Platforms",
            Just(json!([{"Architecture": "amd64", "OS": "linux"}])),
        ),
    ]);
    object(vec![
        container().prop_map(|c| vec![("ContainerSpec", c)]).boxed(),
        field(
            "Resources",
            object(vec![
                field("Limits", limits),
                field("Reservations", reservations),
            ]),
        ),
        field("RestartPolicy", restart),
        field("Placement", placement),
        field(
            "LogDriver",
            Just(json!({"Name": "json-file", "Options": {"max-size": "1m"}})),
        ),
        number(0..9).prop_map(|n| vec![("ForceUpdate", n)]).boxed(),
        field("Runtime", of(&["container"])),
    ])
}

/// A spec in the form in which it is echoed: what Go always prints is there.
fn spec() -> BoxedStrategy<Value> {
    let modes = prop_oneof![
        number(0..9).prop_map(|n| json!({"Replicated": {"Replicas": n}})),
        Just(json!({"Global": {}})),
        (number(1..9), number(1..9)).prop_map(|(concurrent, total)| {
            json!({"ReplicatedJob": {"MaxConcurrent": concurrent, "TotalCompletions": total}})
        }),
        Just(json!({"GlobalJob": {}})),
    ];
    let additions = object(vec![
        Just(vec![("Privileged", json!(true))]).boxed(),
        field(
            "Devices",
            Just(json!([{"HostPath": "/dev/a", "ContainerPath": "/dev/b", "Permissions": "r"}])),
        ),
        field(
            "SecretEnv",
            Just(json!([{"SecretID": "i", "SecretName": "n", "Variable": "_V"}])),
        ),
    ]);
    let spec = object(vec![
        Just(vec![("Name", json!("web"))]).boxed(),
        labels().prop_map(|l| vec![("Labels", l)]).boxed(),
        template().prop_map(|t| vec![("TaskTemplate", t)]).boxed(),
        modes.prop_map(|m| vec![("Mode", m)]).boxed(),
        field("UpdateConfig", update_config()),
        field("RollbackConfig", update_config()),
        field(
            "EndpointSpec",
            of(&["vip", "dnsrr"]).prop_map(|mode| json!({"Mode": mode})),
        ),
        field("Starling", additions),
    ]);
    spec.prop_map(|mut spec| {
        if spec["Mode"]
            .get("ReplicatedJob")
            .or(spec["Mode"].get("GlobalJob"))
            .is_some()
        {
            let map = spec.as_object_mut().expect("an object");
            map.remove("UpdateConfig");
            map.remove("RollbackConfig");
        }
        spec
    })
    .boxed()
}

/// As the route does it.
fn accept(sent: Value) -> Result<model::ServiceSpec, ApiError> {
    let sent: api_types::service::ServiceSpec =
        api_types::from_value(sent).map_err(crate::body::malformed)?;
    let additions = sent.starling.clone();
    let mut spec = service_spec(sent)?;
    settle_additions(&mut spec, additions, None)?;
    model::validate::service(&spec).map_err(|e| ApiError::bad_request(e.0))?;
    Ok(spec)
}

/// Values that belong nowhere, and some that belong somewhere else.
fn wrong() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!({})),
        Just(json!([])),
        Just(json!([null, {}])),
        Just(json!(-1)),
        Just(json!(1.5)),
        Just(json!(u64::MAX)),
        Just(json!(i64::MIN)),
        Just(json!(1e300)),
        Just(json!("")),
        Just(json!("{{")),
        Just(json!("é\u{0}\n/..")),
        Just(json!(true)),
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
    ]
    .boxed()
}

/// The number of places in a value, itself included.
fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(places).sum(),
        Value::Object(map) => map.values().map(places).sum(),
        _ => 0,
    }
}

/// Puts `new` at the `at`th place.
fn replace(value: &mut Value, at: &mut usize, new: &Value) {
    if *at == 0 {
        value.clone_from(new);
        *at = usize::MAX;
        return;
    }
    *at -= 1;
    let inside: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(map) => map.values_mut().collect(),
        _ => Vec::new(),
    };
    for item in inside {
        if *at == usize::MAX {
            return;
        }
        replace(item, at, new);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_is_echoed(sent in spec()) {
        let accepted = accept(sent.clone());
        prop_assert!(accepted.is_ok(), "{:?}: {sent}", accepted.err());
        let spec = accepted.expect("checked");
        let echoed = serde_json::to_value(service_spec_out(&spec, false)).expect("JSON");
        prop_assert_eq!(&echoed, &sent);
        // And again: an update with what was read changes nothing, whatever version the client speaks.
        for minor in [24, 40, 44, 50] {
            let merged = keep_unknown(echoed.clone(), &service_spec_out(&spec, false), Version(1, minor));
            prop_assert_eq!(&merged, &echoed);
        }
    }

    #[test]
    fn nonsense_is_refused_or_understood(
        mut sent in spec(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), wrong()), 1..4),
        minor in 24_u32..=50,
    ) {
        let current = accept(sent.clone()).expect("a good spec");
        for (at, value) in &changes {
            let mut at = at.index(places(&sent));
            replace(&mut sent, &mut at, value);
        }
        let merged = keep_unknown(sent.clone(), &service_spec_out(&current, false), Version(1, minor));
        for sent in [sent, merged] {
            match accept(sent.clone()) {
                Err(error) => {
                    let status = error.status.as_u16();
                    prop_assert!((400..500).contains(&status) || status == 501, "{error}: {sent}");
                    prop_assert!(!error.message.is_empty());
                }
                // What is understood is echoed in one form.
                Ok(spec) => {
                    let echoed = serde_json::to_value(service_spec_out(&spec, false)).expect("JSON");
                    prop_assert_eq!(accept(echoed).expect("its own echo"), spec);
                }
            }
        }
    }
}
