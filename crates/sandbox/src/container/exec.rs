//! A program that joins a container which runs.

use std::convert::Infallible;
use std::os::fd::AsRawFd;

use super::error::{Context, SetupError};
use super::process::{self, Birth, ChildStreams, Given, Program};
use super::{Host, Plan, RootId};
use crate::cgroup;
use crate::spec::ExecSpec;
use crate::sys::check;

/// All namespaces, also those that the container shares with the host, for which this changes nothing.
/// Of the one of process ids only this process's children become members.
const NAMESPACES: libc::c_int = libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP;

/// In words, what is wrong with the request.
pub(crate) fn validate(exec: &ExecSpec) -> Result<(), String> {
    if exec.tty {
        return Err("a terminal for a program in a running container is not supported yet".into());
    }
    if exec.args.is_empty() {
        return Err("no command specified".into());
    }
    let texts = exec.args.iter().chain(&exec.env);
    let mut texts = texts.chain([&exec.cwd, &exec.user]);
    if texts.any(|text| text.contains('\0')) {
        return Err("an argument, variable, user or working directory contains a NUL byte".into());
    }
    if !exec.cwd.is_empty() && !exec.cwd.starts_with('/') {
        return Err(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            exec.cwd
        ));
    }
    Ok(())
}

/// The whole life of the child, which was born in the container's v2 cgroup. Its extra stream names the
/// container's first process.
pub(crate) fn run(host: &Host, plan: &Plan, exec: &ExecSpec, streams: &ChildStreams) -> ! {
    process::run(streams, |given| join(host, plan, exec, given))
}

fn join(
    host: &Host,
    plan: &Plan,
    exec: &ExecSpec,
    given: &mut Given,
) -> Result<Infallible, SetupError> {
    let spec = &plan.spec;
    process::prepare(host, spec)?;
    cgroup::join(&host.layout, &plan.group).map_err(|error| SetupError::new(error.to_string()))?;
    let first = given.extra.take();
    let first = first.ok_or_else(|| SetupError::new("the container's process is not known"))?;
    // SAFETY: takes no pointers.
    check(unsafe { libc::setns(first.as_raw_fd(), NAMESPACES) })
        .context(|| "cannot enter the container's namespaces")?;
    // Where the supervisor's own root is not the top of its mounts (it runs in a chroot), the container's
    // is not the top of its own: this would be a place of the host.
    if plan.root != Some(RootId::own()?) {
        return Err(SetupError::new(
            "the container's root cannot be entered: it was mounted over, or Starling runs in a chroot",
        ));
    }
    let env = environment(&spec.env, &exec.env);
    // Before the container's filter is in force, which may forbid it.
    let pipe = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (known, tell) = pipe.context(|| "cannot make a pipe")?;
    let program = Program {
        args: &exec.args,
        env: &env,
        cwd: if exec.cwd.is_empty() {
            &spec.cwd
        } else {
            &exec.cwd
        },
        user: if exec.user.is_empty() {
            &spec.user
        } else {
            &exec.user
        },
        birth: Birth::Sibling(known, tell),
    };
    process::become_program(host, plan, program, given)
}

/// The container's, with those of the request in place of the same names.
fn environment(container: &[String], asked: &[String]) -> Vec<String> {
    let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
    let replaced: std::collections::HashSet<String> = asked.iter().map(|e| name(e)).collect();
    let kept = container
        .iter()
        .filter(|entry| !replaced.contains(&name(entry)));
    kept.chain(asked).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_variables_replace_the_containers() {
        let list = |entries: &[&str]| entries.iter().map(|e| e.to_string()).collect::<Vec<_>>();
        let container = list(&["A=1", "B=2", "AB=3"]);
        let both = environment(&container, &list(&["B=x=y", "C="]));
        assert_eq!(both, list(&["A=1", "AB=3", "B=x=y", "C="]));
    }

    #[test]
    fn wrong_requests_are_refused_in_words() {
        let exec = ExecSpec {
            args: vec!["true".into()],
            ..ExecSpec::default()
        };
        assert_eq!(validate(&exec), Ok(()));
        let refused = |change: fn(&mut ExecSpec)| {
            let mut exec = exec.clone();
            change(&mut exec);
            validate(&exec).unwrap_err()
        };
        assert!(refused(|e| e.tty = true).contains("not supported yet"));
        assert_eq!(refused(|e| e.args.clear()), "no command specified");
        assert!(refused(|e| e.user = "a\0".into()).contains("NUL byte"));
        assert!(refused(|e| e.cwd = "tmp".into()).contains("absolute path"));
    }
}
