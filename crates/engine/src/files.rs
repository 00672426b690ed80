//! The small files of a container: hostname, hosts, resolv.conf.

use crate::config::{ContainerConfig, DnsConfig, NetworkMode};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Docker's lines for a container without a network of the host.
const HOSTS: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::\tip6-localnet\n\
    ff00::\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// Search domains of a container that wants none, not even the host's.
const NO_SEARCH: &[&str] = &["."];

/// Writes them into the container's directory.
pub(crate) fn write(dir: &Path, config: &ContainerConfig, hostname: &str) -> io::Result<()> {
    std::fs::write(dir.join("hostname"), format!("{hostname}\n"))?;
    std::fs::write(dir.join("hosts"), hosts(config, &read("/etc/hosts")))?;
    let resolv = resolv_conf(&config.dns, &read("/etc/resolv.conf"));
    std::fs::write(dir.join("resolv.conf"), resolv)
}

/// A host without the file is a host with an empty one.
fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn hosts(config: &ContainerConfig, of_host: &str) -> String {
    let mut text = match config.network {
        NetworkMode::Host => of_host.to_owned(),
        NetworkMode::Loopback => HOSTS.to_owned(),
    };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for line in &config.extra_hosts {
        let (address, names) = line.split_once(' ').unwrap_or((line, ""));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{address}\t{names}");
    }
    text
}

/// The host's settings, each kind replaced where the container has its own.
fn resolv_conf(dns: &DnsConfig, of_host: &str) -> String {
    let kinds = [
        ("nameserver", &dns.nameservers),
        ("search", &dns.search),
        ("options", &dns.options),
    ];
    let replaced = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        !kinds
            .iter()
            .any(|(kind, own)| *kind == word && !own.is_empty())
    };
    let mut text = String::new();
    for line in of_host.lines().filter(replaced) {
        let _ = writeln!(text, "{line}");
    }
    for server in &dns.nameservers {
        let _ = writeln!(text, "nameserver {server}");
    }
    // A search domain of `.` is Docker's word for none at all.
    let is_told = |(_, own): &&(&str, &Vec<String>)| !own.is_empty() && *own != NO_SEARCH;
    for (kind, own) in kinds.iter().skip(1).filter(is_told) {
        let _ = writeln!(text, "{kind} {}", own.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_dockers_lines_or_the_hosts() {
        let mut config = ContainerConfig {
            extra_hosts: vec!["10.0.0.9 db db.local".into()],
            ..ContainerConfig::default()
        };
        let own = hosts(&config, "1.2.3.4 box");
        assert!(own.starts_with("127.0.0.1\tlocalhost\n"), "{own}");
        assert!(own.ends_with("10.0.0.9\tdb db.local\n"), "{own}");
        config.network = NetworkMode::Host;
        assert_eq!(
            hosts(&config, "1.2.3.4 box"),
            "1.2.3.4 box\n10.0.0.9\tdb db.local\n"
        );
    }

    #[test]
    fn resolver_settings_replace_the_hosts_by_kind() {
        let host = "# by hand\nnameserver 1.1.1.1\nsearch a.example\n";
        assert_eq!(resolv_conf(&DnsConfig::default(), host), host);
        let dns = DnsConfig {
            nameservers: vec!["9.9.9.9".into(), "8.8.8.8".into()],
            search: vec![],
            options: vec!["ndots:2".into(), "rotate".into()],
        };
        assert_eq!(
            resolv_conf(&dns, host),
            "# by hand\nsearch a.example\nnameserver 9.9.9.9\nnameserver 8.8.8.8\noptions ndots:2 rotate\n"
        );
        let none = DnsConfig {
            search: vec![".".into()],
            ..DnsConfig::default()
        };
        assert_eq!(resolv_conf(&none, host), "# by hand\nnameserver 1.1.1.1\n");
    }
}
