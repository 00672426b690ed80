//! Sockets of the API.

use anyhow::{Context, bail};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use tokio::net::UnixListener;

/// Owner and group only: whoever can write to the socket can do everything on this host.
const MODE: u32 = 0o660;
/// The group that may use the socket, where there is one, as with Docker's.
const GROUP: &str = "starling";

/// Listens at `path`. A socket that a killed daemon left is removed; one that answers is not.
pub(crate) fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if let Ok(metadata) = std::fs::symlink_metadata(path) {
        if !metadata.file_type().is_socket() {
            bail!(
                "cannot listen on {}: there is something that is no socket",
                path.display()
            );
        }
        match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)
                    .with_context(|| format!("cannot remove the stale socket {}", path.display()))?
            }
            _ => bail!(
                "cannot listen on {}: another process listens there",
                path.display()
            ),
        }
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make {}", parent.display()))?;
    }
    // Nobody may connect between bind and chmod: the mask is the process's, so set it around the call.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.with_context(|| format!("cannot listen on {}", path.display()))?;
    if let Ok(Some(group)) = nix::unistd::Group::from_name(GROUP) {
        nix::unistd::chown(path, None, Some(group.gid))
            .with_context(|| format!("cannot give {} to the group {GROUP}", path.display()))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))
        .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    Ok(listener)
}
