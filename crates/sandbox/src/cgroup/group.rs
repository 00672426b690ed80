//! One container's group in all hierarchies: reading, killing, removing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::{CgroupError, Layout, V1Controller};

/// How often, and how long apart, the removal of a left-over group is tried after its processes
/// were killed: they leave it within milliseconds.
const LEFT_OVER_TRIES: u32 = 100;
const LEFT_OVER_PAUSE: Duration = Duration::from_millis(5);
/// Rounds of killing in a hierarchy without `cgroup.kill`: processes that fork may escape a round.
const KILL_ROUNDS: u32 = 10;

/// `<cgroup_parent>/<id>`, with a slash in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    name: String,
}

impl Group {
    /// Fails in words when the parent is not a plain path.
    pub(crate) fn new(parent: &str, id: &str) -> Result<Group, String> {
        let plain = Path::new(parent)
            .components()
            .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain {
            return Err(format!(
                "the cgroup parent \"{parent}\" is not an absolute path"
            ));
        }
        let parent = parent.trim_matches('/');
        let slash = if parent.is_empty() { "" } else { "/" };
        Ok(Group {
            name: format!("{slash}{parent}/{id}"),
        })
    }

    /// From the name that [`Group::name`] gave.
    pub(crate) fn from_name(name: &str) -> Group {
        Group {
            name: name.to_owned(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn path(&self, root: &Path) -> PathBuf {
        root.join(self.name.trim_start_matches('/'))
    }

    pub(crate) fn v2_path(&self, layout: &Layout) -> Option<PathBuf> {
        layout.v2_root().map(|root| self.path(root))
    }

    /// Its directories, in each hierarchy that is used.
    fn paths(&self, layout: &Layout) -> BTreeSet<PathBuf> {
        let roots = layout.v1().map(|(_, root)| root).chain(layout.v2_root());
        roots.map(|root| self.path(root)).collect()
    }

    /// Whether the kernel killed a process of the group for want of memory.
    pub(crate) fn oom_killed(&self, layout: &Layout) -> bool {
        let file = match layout.v1_root(V1Controller::Memory) {
            Some(root) => Some(self.path(root).join("memory.oom_control")),
            None => self.v2_path(layout).map(|path| path.join("memory.events")),
        };
        file.and_then(|file| std::fs::read_to_string(file).ok())
            .is_some_and(|text| count(&text, "oom_kill") > 0)
    }

    /// Sends SIGKILL to every process of the group. Without a v2 hierarchy it works through the
    /// lists of processes; the end of a container's init ends what escapes from that.
    pub(crate) fn kill(&self, layout: &Layout) -> Result<(), CgroupError> {
        if let Some(path) = self.v2_path(layout) {
            let file = path.join("cgroup.kill");
            match super::write(&file, "1") {
                Ok(()) => return Ok(()),
                Err(CgroupError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for path in self.paths(layout) {
            for _ in 0..KILL_ROUNDS {
                let pids = processes(&path);
                if pids.is_empty() {
                    break;
                }
                for pid in pids {
                    // SAFETY: kill takes no pointers. The pid was read from the group just now.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                }
            }
        }
        Ok(())
    }

    /// Whether a living process is in the group.
    pub(crate) fn populated(&self, layout: &Layout) -> bool {
        if let Some(path) = self.v2_path(layout)
            && let Ok(events) = std::fs::read_to_string(path.join("cgroup.events"))
        {
            return count(&events, "populated") > 0;
        }
        self.paths(layout)
            .iter()
            .any(|path| !processes(path).is_empty())
    }

    /// Removes it everywhere; absent ones are no error. Fails while a process lives in it.
    pub(crate) fn remove(&self, layout: &Layout) -> Result<(), CgroupError> {
        for path in self.paths(layout) {
            remove_tree(&path).map_err(|source| CgroupError::file("remove", &path, source))?;
        }
        Ok(())
    }
}

/// A new, empty group. One that an earlier container left is emptied and removed first, because its
/// counters would speak of that one.
pub(super) fn create(path: &Path) -> Result<(), CgroupError> {
    let error = |source| CgroupError::file("create", path, source);
    match std::fs::create_dir(path) {
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
            for pid in processes(path) {
                // SAFETY: kill takes no pointers. The pid was read from the left-over group just now.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
            remove_left_over(path)
                .and_then(|()| std::fs::create_dir(path))
                .map_err(error)
        }
        other => other.map_err(error),
    }
}

fn remove_left_over(path: &Path) -> io::Result<()> {
    for _ in 1..LEFT_OVER_TRIES {
        if remove_tree(path).is_ok() {
            return Ok(());
        }
        std::thread::sleep(LEFT_OVER_PAUSE);
    }
    remove_tree(path)
}

/// Groups that the container made inside its own go first.
fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    std::fs::remove_dir(path)
}

fn processes(path: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    // A 0 stands for a process outside our PID namespace: kill(0) would hit ourselves.
    let pids = text.lines().filter_map(|line| line.parse().ok());
    pids.filter(|pid| *pid > 0).collect()
}

/// The number behind a name in a file of `name number` lines; 0 when absent.
fn count(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(key, value)| (key == name).then(|| value.trim().parse().ok())?)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_the_parent() {
        let name = |parent| Group::new(parent, "abc").map(|g| g.name().to_owned());
        assert_eq!(name("/docker"), Ok("/docker/abc".into()));
        assert_eq!(name("lab/w1/"), Ok("/lab/w1/abc".into()));
        assert_eq!(name("/"), Ok("/abc".into()));
        assert_eq!(name(""), Ok("/abc".into()));
        assert!(name("/a/../b").is_err());
        assert!(name("./a").is_err());
    }

    #[test]
    fn counters_are_read_by_their_whole_name() {
        let v1 = "oom_kill_disable 0\nunder_oom 1\noom_kill 3\n";
        assert_eq!(count(v1, "oom_kill"), 3);
        assert_eq!(count("low 0\noom 5\noom_kill 0\n", "oom_kill"), 0);
        assert_eq!(count("", "oom_kill"), 0);
    }
}
