//! Secrets and configs of a task, as files and variables of its container.

use super::{NodeContext, Payloads};
use crate::error::CreateError;
use crate::inject::{Injected, InjectedFile, InjectedVariable};
use crate::template::{self, Value};
use model::PayloadId;
use model::assignment::AssignedTask;
use model::payload::{FileTarget, Payload, PayloadKind, TEMPLATING_GOLANG};
use std::path::Path;
use std::sync::Arc;

/// Where secrets are, as in Docker.
const SECRETS: &str = "/run/secrets";
/// Where configs are, as in Docker.
const CONFIGS: &str = "/";
/// Permission bits that a file can have.
const MODE_BITS: u32 = 0o7777;

fn invalid<T>(text: impl Into<String>) -> Result<T, CreateError> {
    Err(CreateError::Invalid(text.into()))
}

/// What the task's container is given. `env` is its environment with templates expanded.
pub(super) fn injected(
    task: &AssignedTask,
    node: &NodeContext,
    payloads: &Payloads,
    env: &[String],
) -> Result<Injected, CreateError> {
    let spec = &task.spec.container;
    if spec.secrets.is_empty() && spec.configs.is_empty() && spec.secret_env.is_empty() {
        return Ok(Injected::default());
    }
    let source = Source {
        task,
        payloads,
        env,
        context: super::template::context(task, node),
    };
    let mut injected = Injected::default();
    for secret in &spec.secrets {
        let data = source.content(PayloadKind::Secret, &secret.id, &secret.name)?;
        injected.files.push(file(SECRETS, &secret.file, data)?);
    }
    for config in &spec.configs {
        if let Some(target) = &config.file {
            let data = source.content(PayloadKind::Config, &config.id, &config.name)?;
            injected.files.push(file(CONFIGS, target, data)?);
        }
    }
    for secret in &spec.secret_env {
        let data = source.content(PayloadKind::Secret, &secret.id, &secret.name)?;
        let value = String::from_utf8(data.to_vec()).ok();
        let Some(value) = value.filter(|value| !value.contains('\0')) else {
            let text = format!(
                "secret {} cannot be the variable {}: it is no text",
                secret.name, secret.variable
            );
            return invalid(text);
        };
        injected.env.push(InjectedVariable {
            name: secret.variable.clone(),
            value,
        });
    }
    Ok(injected)
}

fn file(base: &str, target: &FileTarget, data: Arc<[u8]>) -> Result<InjectedFile, CreateError> {
    let number = |what: &str, text: &str| match text {
        "" => Ok(0),
        text => text
            .parse()
            .or_else(|_| invalid(format!("{}: {what} {text:?} is no number", target.name))),
    };
    Ok(InjectedFile {
        // An absolute target takes the base's place.
        target: Path::new(base).join(&target.name),
        uid: number("uid", &target.uid)?,
        gid: number("gid", &target.gid)?,
        mode: target.mode & MODE_BITS,
        data,
    })
}

struct Source<'a> {
    task: &'a AssignedTask,
    payloads: &'a Payloads,
    env: &'a [String],
    context: Value,
}

impl Source<'_> {
    fn payload(
        &self,
        kind: PayloadKind,
        id: &PayloadId,
        name: &str,
    ) -> Result<&Payload, CreateError> {
        let payload = self.payloads.get(id).filter(|payload| payload.kind == kind);
        match payload {
            Some(payload) => Ok(payload),
            None => invalid(format!("{} not found: {name}", kind.name())),
        }
    }

    /// With its template expanded, if it is one. The error does not repeat the content.
    fn content(
        &self,
        kind: PayloadKind,
        id: &PayloadId,
        name: &str,
    ) -> Result<Arc<[u8]>, CreateError> {
        let payload = self.payload(kind, id, name)?;
        let data = &payload.spec.data.0;
        match &payload.spec.templating {
            None => Ok(Arc::clone(data)),
            Some(driver) if driver.name == TEMPLATING_GOLANG => {
                let what = || format!("the template of {} {name}", kind.name());
                let Ok(text) = std::str::from_utf8(data) else {
                    return invalid(format!("{} is no text", what()));
                };
                let expanded = template::expand(text, &self.context, &|f, a| self.function(f, a));
                match expanded {
                    Ok(text) => Ok(Arc::from(text.into_bytes())),
                    Err(why) => invalid(format!("{} cannot be expanded: {why}", what())),
                }
            }
            Some(driver) => invalid(format!("unsupported templating driver {:?}", driver.name)),
        }
    }

    /// Docker's functions of payloads: `env`, `secret`, `config`. What they give is not expanded again.
    fn function(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        if !matches!(name, "env" | "secret" | "config") {
            return None;
        }
        let [Value::Text(wanted)] = args else {
            return Some(Err(format!("{name} wants one name")));
        };
        Some(match name {
            "env" => Ok(Value::text(self.variable(wanted))),
            "secret" => self.secret(wanted),
            _ => self.config(wanted),
        })
    }

    fn variable(&self, name: &str) -> String {
        let mut variables = self.env.iter().filter_map(|text| text.split_once('='));
        let found = variables.find(|(known, _)| *known == name);
        found.map_or(String::new(), |(_, value)| value.to_owned())
    }

    fn secret(&self, target: &str) -> Result<Value, String> {
        let secrets = &self.task.spec.container.secrets;
        let found = secrets.iter().find(|secret| secret.file.name == target);
        let found = found.ok_or_else(|| format!("secret target {target} not found"))?;
        self.text(PayloadKind::Secret, &found.id, &found.name)
    }

    fn config(&self, target: &str) -> Result<Value, String> {
        let configs = &self.task.spec.container.configs;
        let named = |file: &FileTarget| file.name == target;
        let found = configs.iter().find(|c| c.file.as_ref().is_some_and(named));
        let found = found.ok_or_else(|| format!("config target {target} not found"))?;
        self.text(PayloadKind::Config, &found.id, &found.name)
    }

    fn text(&self, kind: PayloadKind, id: &PayloadId, name: &str) -> Result<Value, String> {
        let payload = self.payload(kind, id, name).map_err(|e| e.to_string())?;
        let text = std::str::from_utf8(&payload.spec.data.0);
        let text = text.map_err(|_| format!("{} {name} is no text", kind.name()))?;
        Ok(Value::text(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::convert::tests::{node, task};
    use super::*;
    use model::Driver;
    use model::payload::{ConfigRef, PayloadData, PayloadSpec, SecretEnv, SecretRef};

    fn payload(id: &str, kind: PayloadKind, data: &str, template: bool) -> Arc<Payload> {
        let templating = template.then(|| Driver {
            name: TEMPLATING_GOLANG.into(),
            ..Driver::default()
        });
        Arc::new(Payload {
            id: id.into(),
            kind,
            meta: model::Meta::default(),
            spec: Arc::new(PayloadSpec {
                name: id.into(),
                data: PayloadData(Arc::from(data.as_bytes())),
                templating,
                ..PayloadSpec::default()
            }),
        })
    }

    fn target(name: &str) -> FileTarget {
        FileTarget {
            name: name.into(),
            uid: "7".into(),
            gid: "8".into(),
            mode: 0o100_440,
        }
    }

    fn secret(id: &str, name: &str) -> SecretRef {
        SecretRef {
            id: id.into(),
            name: id.into(),
            file: target(name),
        }
    }

    fn config(id: &str, name: &str) -> ConfigRef {
        ConfigRef {
            id: id.into(),
            name: id.into(),
            file: Some(target(name)),
        }
    }

    fn all() -> Payloads {
        let text = r#"{{.Service.Name}} {{env "A"}} {{secret "plain"}} {{config "/etc/c"}}"#;
        [
            payload("s1", PayloadKind::Secret, "hunter2", false),
            payload("s2", PayloadKind::Secret, text, true),
            payload("c1", PayloadKind::Config, "conf", false),
            payload("bad", PayloadKind::Secret, "hunter2 {{.Nope}}", true),
        ]
        .map(|payload| (payload.id.clone(), payload))
        .into()
    }

    fn texts(injected: &Injected) -> Vec<(String, String)> {
        let text = |file: &InjectedFile| {
            let content = String::from_utf8(file.data.to_vec()).unwrap();
            (file.target.display().to_string(), content)
        };
        injected.files.iter().map(text).collect()
    }

    #[test]
    fn files_and_variables_are_made() {
        let task = task(|spec| {
            let container = &mut spec.container;
            container.secrets = vec![secret("s1", "plain"), secret("s2", "/made")];
            container.configs = vec![config("c1", "/etc/c"), config("c1", "rel")];
            container.secret_env = vec![SecretEnv {
                id: "s1".into(),
                name: "s1".into(),
                variable: "PASSWORD".into(),
            }];
        });
        let env = ["A=x=y".to_owned()];
        let injected = injected(&task, &node(), &all(), &env).unwrap();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            texts(&injected),
            [
                pair("/run/secrets/plain", "hunter2"),
                pair("/made", "web x=y hunter2 conf"),
                pair("/etc/c", "conf"),
                pair("/rel", "conf"),
            ]
        );
        let first = &injected.files[0];
        assert_eq!((first.uid, first.gid, first.mode), (7, 8, 0o440));
        assert_eq!(injected.env[0].name, "PASSWORD");
        assert_eq!(injected.env[0].value, "hunter2");
    }

    #[test]
    fn errors_name_the_secret_and_keep_it() {
        for (id, why) in [
            ("bad", "template of secret bad"),
            ("gone", "secret not found: gone"),
        ] {
            let task = task(|spec| spec.container.secrets = vec![secret(id, "x")]);
            let error = injected(&task, &node(), &all(), &[])
                .unwrap_err()
                .to_string();
            assert!(error.contains(why), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
