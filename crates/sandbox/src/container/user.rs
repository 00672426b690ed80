//! Docker's `--user`: names are those of the container's own `/etc/passwd` and `/etc/group`.

use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use super::error::{Context, SetupError};

/// Most bytes that are read of `/etc/passwd` and `/etc/group`: the image's author chose their size.
const MAX_FILE: u64 = 4 << 20;
/// `setgroups` takes no more on Linux.
const MAX_GROUPS: usize = 65536;

/// Whom the container's program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// All groups, the primary one first, as Docker sets them.
    pub(super) groups: Vec<u32>,
    pub(super) home: String,
}

/// Resolves a user, and groups that it gets on top, in the root that this process has entered.
pub(super) fn resolve(user: &str, groups: &[String]) -> Result<User, SetupError> {
    let passwd = read("/etc/passwd").context(|| "cannot read the container's /etc/passwd")?;
    let group = read("/etc/group").context(|| "cannot read the container's /etc/group")?;
    let mut user = lookup(user, &passwd, &group).map_err(SetupError::new)?;
    add_groups(&mut user, groups, &group).map_err(SetupError::new)?;
    Ok(user)
}

/// An absent file is an empty one. The image may have put something else than a file there: it must
/// not make us wait.
fn read(path: &str) -> io::Result<String> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Lines that are not in the format are skipped.
fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        Some(PasswdEntry {
            name: fields.next()?,
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

/// Name, number and members of each group.
fn group_entries(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn lookup(user: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, group),
        None => (user, ""),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = parse_id(name)?;
    let entry = passwd_entries(passwd).find(|entry| match number {
        Some(uid) => entry.uid == uid,
        None => entry.name == name,
    });
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) => uid,
        (None, None) => {
            return Err(format!(
                "unable to find user {name}: no matching entries in passwd file"
            ));
        }
    };
    let mut gid = entry.as_ref().map_or(0, |entry| entry.gid);
    let mut others = Vec::new();
    if !group_name.is_empty() {
        gid = find_group(group_name, group)?;
    } else if let Some(entry) = &entry {
        others = group_entries(group)
            .filter(|(_, _, members)| members.split(',').any(|member| member == entry.name))
            .map(|(_, gid, _)| gid)
            .collect();
    }
    let mut groups = vec![gid];
    for other in others.into_iter().take(MAX_GROUPS - 1) {
        if !groups.contains(&other) {
            groups.push(other);
        }
    }
    let home = entry.map_or("", |entry| entry.home);
    Ok(User {
        uid,
        gid,
        groups,
        home: if home.is_empty() {
            "/".into()
        } else {
            home.into()
        },
    })
}

fn find_group(name: &str, group: &str) -> Result<u32, String> {
    if let Some(gid) = parse_id(name)? {
        return Ok(gid);
    }
    group_entries(group)
        .find_map(|(known, gid, _)| (known == name).then_some(gid))
        .ok_or_else(|| format!("unable to find group {name}: no matching entries in group file"))
}

/// Docker's `--group-add`.
fn add_groups(user: &mut User, names: &[String], group: &str) -> Result<(), String> {
    for name in names {
        let named = group_entries(group).find_map(|(known, gid, _)| (known == name).then_some(gid));
        let number = match name.is_empty() {
            true => None,
            false => parse_id(name)?,
        };
        let unknown = || format!("Unable to find group {name}");
        let gid = named.or(number).ok_or_else(unknown)?;
        if !user.groups.contains(&gid) && user.groups.len() < MAX_GROUPS {
            user.groups.push(gid);
        }
    }
    Ok(())
}

/// A number within Linux's range, or `None` for a name.
fn parse_id(text: &str) -> Result<Option<u32>, String> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX as u32 => Ok(Some(id)),
        _ => Err(format!(
            "uids and gids must be in range 0-{}: {text}",
            i32::MAX
        )),
    }
}

/// Puts the user into force; capabilities stay permitted, for [`super::capabilities::apply`].
pub(super) fn apply(user: &User) -> io::Result<()> {
    use crate::sys::check;
    let groups = &user.groups;
    // SAFETY: prctl with this option takes no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) })?;
    // Direct system calls: the C library's functions would try to change other threads, too.
    // SAFETY: the pointer is valid for `groups.len()` entries.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, user.gid, user.gid, user.gid) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, user.uid, user.uid, user.uid) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, 0, 0, 0, 0) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nweb:x:1000:1001:Web:/srv/web:/bin/sh\nbad:x:y:z\nshort:x:7:8\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,web\nweb:x:1001:\naudio:x:29:web\n";

    fn check(user: &str) -> String {
        match lookup(user, PASSWD, GROUP) {
            Ok(u) => format!("{}:{} {:?} {}", u.uid, u.gid, u.groups, u.home),
            Err(error) => error,
        }
    }

    #[test]
    fn users_as_docker_resolves_them() {
        assert_eq!(check(""), "0:0 [0, 10] /root");
        assert_eq!(check("web"), "1000:1001 [1001, 10, 29] /srv/web");
        assert_eq!(check("1000"), "1000:1001 [1001, 10, 29] /srv/web");
        assert_eq!(check("web:wheel"), "1000:10 [10] /srv/web");
        assert_eq!(check("web:77"), "1000:77 [77] /srv/web");
        assert_eq!(check("4242"), "4242:0 [0] /");
        assert_eq!(check("4242:29"), "4242:29 [29] /");
        assert_eq!(check(":29"), "0:29 [29] /root");
        assert_eq!(check("short"), "7:8 [8] /");
    }

    #[test]
    fn groups_on_top() {
        let check = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            let mut user = lookup("web:77", PASSWD, GROUP).unwrap();
            add_groups(&mut user, &names, GROUP).map(|()| user.groups)
        };
        assert_eq!(
            check(&["audio", "4000", "77", "audio"]),
            Ok(vec![77, 29, 4000])
        );
        assert_eq!(check(&["none"]), Err("Unable to find group none".into()));
        assert_eq!(check(&[""]), Err("Unable to find group ".into()));
        assert!(check(&["99999999999"]).is_err());
    }

    #[test]
    fn unknown_names_and_wrong_numbers() {
        assert_eq!(
            check("nobody"),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            check("web:none"),
            "unable to find group none: no matching entries in group file"
        );
        assert_eq!(
            check("99999999999"),
            "uids and gids must be in range 0-2147483647: 99999999999"
        );
        assert!(check("bad").starts_with("unable to find user bad"));
    }
}
