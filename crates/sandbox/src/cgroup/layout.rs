//! Which hierarchies this host has, and where.

use std::io;
use std::path::{Path, PathBuf};

/// The v1 controllers that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum V1Controller {
    Memory,
    Cpu,
    Pids,
    Devices,
    Freezer,
    Cpuset,
}

impl V1Controller {
    const ALL: [V1Controller; 6] = [
        V1Controller::Memory,
        V1Controller::Cpu,
        V1Controller::Pids,
        V1Controller::Devices,
        V1Controller::Freezer,
        V1Controller::Cpuset,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            V1Controller::Memory => "memory",
            V1Controller::Cpu => "cpu",
            V1Controller::Pids => "pids",
            V1Controller::Devices => "devices",
            V1Controller::Freezer => "freezer",
            V1Controller::Cpuset => "cpuset",
        }
    }
}

/// Mounted hierarchies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// By controller; several controllers may share a directory.
    v1: Vec<(V1Controller, PathBuf)>,
    v2: Option<PathBuf>,
    v2_controllers: Vec<String>,
}

impl Layout {
    /// Reads this process's mounts.
    pub(crate) fn detect() -> io::Result<Layout> {
        let mut layout = Layout::parse(&std::fs::read_to_string("/proc/self/mountinfo")?);
        if let Some(v2) = &layout.v2 {
            let controllers = std::fs::read_to_string(v2.join("cgroup.controllers"))?;
            layout.set_v2_controllers(&controllers);
        }
        Ok(layout)
    }

    /// `text` is in the format of `/proc/PID/mountinfo`. A later mount of the same hierarchy does not count.
    fn parse(text: &str) -> Layout {
        let mut layout = Layout::default();
        for line in text.lines() {
            let Some((mount, file_system)) = line.split_once(" - ") else {
                continue;
            };
            let Some(point) = mount.split(' ').nth(4) else {
                continue;
            };
            let mut fields = file_system.split(' ');
            let (kind, options) = (fields.next(), fields.nth(1).unwrap_or_default());
            match kind {
                Some("cgroup2") if layout.v2.is_none() => layout.v2 = Some(unescape(point)),
                Some("cgroup") => layout.add_v1(options, &unescape(point)),
                _ => {}
            }
        }
        layout
    }

    fn add_v1(&mut self, options: &str, point: &Path) {
        for controller in V1Controller::ALL {
            let named = options.split(',').any(|option| option == controller.name());
            if named && self.v1_root(controller).is_none() {
                self.v1.push((controller, point.to_owned()));
            }
        }
    }

    fn set_v2_controllers(&mut self, text: &str) {
        self.v2_controllers = text.split_whitespace().map(str::to_owned).collect();
    }

    /// All v1 controllers and the roots of their hierarchies.
    pub(crate) fn v1(&self) -> impl Iterator<Item = (V1Controller, &Path)> {
        self.v1.iter().map(|(c, path)| (*c, path.as_path()))
    }

    pub(crate) fn v1_root(&self, controller: V1Controller) -> Option<&Path> {
        self.v1()
            .find_map(|(c, path)| (c == controller).then_some(path))
    }

    /// Root of the v2 hierarchy.
    pub(crate) fn v2_root(&self) -> Option<&Path> {
        self.v2.as_deref()
    }

    pub(crate) fn v2_has(&self, controller: &str) -> bool {
        self.v2_controllers.iter().any(|c| c == controller)
    }

    /// Controllers that containers need in v2, because v1 does not have them.
    pub(super) fn v2_wanted(&self) -> impl Iterator<Item = &'static str> {
        [V1Controller::Cpu, V1Controller::Memory, V1Controller::Pids]
            .into_iter()
            .filter(|c| self.v1_root(*c).is_none() && self.v2_has(c.name()))
            .map(V1Controller::name)
    }
}

/// mountinfo writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut path = text.to_owned();
    for (escaped, plain) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        path = path.replace(escaped, plain);
    }
    path.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    pub(in super::super) const PURE_V2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    pub(in super::super) fn layout(mountinfo: &str, controllers: &str) -> Layout {
        let mut layout = Layout::parse(mountinfo);
        layout.set_v2_controllers(controllers);
        layout
    }

    #[test]
    fn hybrid_hosts_have_controllers_in_v1_and_a_bare_v2() {
        let layout = layout(HYBRID, "hugetlb");
        let path = |c| layout.v1_root(c).map(|p| p.to_str().unwrap());
        assert_eq!(path(V1Controller::Cpu), Some("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(path(V1Controller::Memory), Some("/sys/fs/cgroup/memory"));
        assert_eq!(path(V1Controller::Devices), None);
        assert_eq!(layout.v2_root(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(layout.v2_wanted().count(), 0);
    }

    #[test]
    fn pure_v2_hosts_have_everything_there() {
        let layout = layout(PURE_V2, "cpuset cpu io memory pids\n");
        assert_eq!(layout.v1().count(), 0);
        assert_eq!(layout.v2_root(), Some(Path::new("/sys/fs/cgroup")));
        assert_eq!(
            layout.v2_wanted().collect::<Vec<_>>(),
            ["cpu", "memory", "pids"]
        );
    }

    #[test]
    fn mount_points_are_unescaped() {
        let odd = "1 2 0:1 / /my\\040cgroups rw - cgroup2 none rw";
        assert_eq!(layout(odd, "").v2_root(), Some(Path::new("/my cgroups")));
    }
}
