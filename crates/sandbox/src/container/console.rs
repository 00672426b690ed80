//! A terminal for the container, from its own devpts. Its master end goes to the supervisor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use super::error::{Context, SetupError};
use super::root::{Kind, Root, attach, clone_mount};
use crate::sys::check;

/// Makes a terminal, mounts it on `/dev/console` and sends its master through `socket`. Returns
/// its other end.
pub(super) fn make(root: &Root, socket: BorrowedFd<'_>) -> Result<OwnedFd, SetupError> {
    let steps = || -> io::Result<(OwnedFd, OwnedFd)> {
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let master = root.open(Path::new("dev/pts/ptmx"), flags)?;
        rustix::pty::unlockpt(&master)?;
        // By the master's descriptor, not by a path of the container.
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: this ioctl takes flags and no pointers.
        let slave = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
        // SAFETY: the kernel has just given us this descriptor.
        Ok((master, unsafe { OwnedFd::from_raw_fd(slave as i32) }))
    };
    let (master, slave) = steps().context(|| "cannot make a terminal in the container")?;
    // SAFETY: all zeroes are valid; the pointers are valid for the calls.
    let number = unsafe {
        let mut number: libc::c_uint = 0;
        check(libc::ioctl(
            master.as_raw_fd(),
            libc::TIOCGPTN,
            &raw mut number,
        ))
        .context(|| "cannot read the number of the container's terminal")?;
        number
    };
    let place = || -> rustix::io::Result<()> {
        let node = root.open(Path::new(&format!("dev/pts/{number}")), OFlags::PATH)?;
        let mount = clone_mount(node.as_fd(), false)?;
        let console = root.target(Path::new("/dev/console"), Kind::File);
        let console = console.map_err(|_| rustix::io::Errno::NOENT)?;
        attach(mount.as_fd(), console.as_fd())
    };
    place().context(|| "cannot mount /dev/console")?;
    send(socket, master.as_fd()).context(|| "cannot give the terminal to the supervisor")?;
    Ok(slave)
}

/// Makes the terminal this session's, and standard input, output and error.
pub(super) fn take(slave: &OwnedFd) -> Result<(), SetupError> {
    let steps = || -> io::Result<()> {
        // SAFETY: with 0, "do not steal", this ioctl takes no pointers.
        check(unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSCTTY, 0) })?;
        for target in 0..=2 {
            // SAFETY: dup3 takes no pointers; the targets are standard streams, looked up by number.
            check(unsafe { libc::dup3(slave.as_raw_fd(), target, 0) })?;
        }
        Ok(())
    };
    steps().context(|| "cannot take the terminal")
}

fn send(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    let byte = [io::IoSlice::new(b"t")];
    rustix::net::sendmsg(socket, &byte, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The supervisor's side: the master, not blocking, or `None` when the other end was closed
/// without one. EAGAIN when nothing has come yet.
pub(crate) fn receive(socket: BorrowedFd<'_>) -> rustix::io::Result<Option<OwnedFd>> {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut into = [io::IoSliceMut::new(&mut byte)];
    rustix::net::recvmsg(socket, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let Some(master) = fds.flatten().next() else {
        return Ok(None);
    };
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok(Some(master))
}
