//! Supervisors that an earlier version of Starling left: they ignore fields that they do not know, so
//! what they would not do is not asked of them.

use crate::spec::{ContainerSpec, Mount, ReadOnlyRecursion, Seccomp};

/// Why something is not asked of an older supervisor.
pub(super) const TOO_OLD: &str = "this host's supervisor was started by an earlier version of Starling and cannot do that: stop all \
     containers of this host, end the process starling-superv, and restart the daemon";

/// Whether a supervisor of level 0 would not do all of it.
pub(super) fn needed(spec: &ContainerSpec) -> bool {
    let recursion = |mount: &Mount| {
        let Mount::Bind {
            readonly_recursive, ..
        } = mount
        else {
            return false;
        };
        *readonly_recursive != ReadOnlyRecursion::IfPossible
    };
    spec.init
        || spec.tty
        || spec.open_stdin
        || spec.privileged
        || !spec.groups.is_empty()
        || !spec.devices.is_empty()
        || !spec.files.is_empty()
        || spec.selinux_label.is_some()
        || spec.apparmor_profile.is_some()
        || matches!(spec.seccomp, Seccomp::Custom(_))
        || spec.mounts.iter().any(recursion)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::client::connect::greet;
    use crate::protocol::{HEADER, PROTOCOL_VERSION};
    use crate::spec::{ExecSpec, LogFile, Rootfs};
    use crate::{ClientError, ExecError, StartError};

    #[tokio::test]
    async fn an_older_supervisor_is_not_asked_for_what_it_would_ignore() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let hello = format!(r#"{{"Hello":{{"protocol":{PROTOCOL_VERSION},"pid":7}}}}"#);
        theirs.write_u32_le(hello.len() as u32).await.unwrap();
        theirs.write_all(hello.as_bytes()).await.unwrap();
        let greeted = greet(ours, std::path::Path::new("/s")).await;
        let (supervisor, _events) = greeted.map_err(|_| "no greeting").unwrap();

        let rootfs = Rootfs::Overlay {
            lower: Vec::new(),
            upper: "/u".into(),
            work: "/w".into(),
            merged: "/m".into(),
        };
        let log = LogFile::json_file("/l");
        let plain = ContainerSpec::new("a", rootfs, vec!["true".into()], "/", log);
        let mut privileged = plain.clone();
        privileged.privileged = true;
        let refused = StartError::InvalidSpec(TOO_OLD.into());
        assert_eq!(supervisor.start(privileged).await, Err(refused));
        let error = supervisor.exec("a", ExecSpec::default()).await.unwrap_err();
        assert_eq!(error, ExecError::InvalidSpec(TOO_OLD.into()));

        // The first request that arrives is the one it can do.
        let starting = supervisor.start(plain);
        let arrived = async {
            let mut header = [0; HEADER];
            theirs.read_exact(&mut header).await.unwrap();
            let mut body = vec![0; u32::from_le_bytes(header) as usize];
            theirs.read_exact(&mut body).await.unwrap();
            drop(theirs);
            String::from_utf8(body).unwrap()
        };
        let (started, body) = tokio::join!(starting, arrived);
        assert!(body.contains(r#""request":{"Start""#), "{body}");
        assert_eq!(started, Err(StartError::Client(ClientError::Lost)));
    }
}
