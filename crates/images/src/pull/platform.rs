//! Choosing the manifest for a platform out of a list.

use std::fmt;

use crate::document::Descriptor;
use crate::error::PullError;
use crate::types::Platform;

/// The platform that an image is wanted for, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    os: String,
    architecture: String,
    variant: String,
}

impl Wanted {
    /// This host.
    pub(crate) fn host() -> Self {
        let (architecture, variant) = normalize(std::env::consts::ARCH, "");
        Self {
            os: "linux".to_owned(),
            architecture,
            variant,
        }
    }

    /// `linux/arm64`, `linux/arm/v7`, or an architecture or an operating system alone.
    pub(crate) fn parse(text: &str) -> Result<Self, PullError> {
        let bad = || PullError::BadPlatform(text.to_owned());
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let is_word = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !parts.iter().all(is_word) {
            return Err(bad());
        }
        let host = Self::host();
        let (os, architecture, variant) = match parts.as_slice() {
            ["linux" | "windows" | "darwin" | "freebsd"] => {
                (parts[0], host.architecture.as_str(), "")
            }
            [architecture] => ("linux", *architecture, ""),
            [os, architecture] => (*os, *architecture, ""),
            [os, architecture, variant] => (*os, *architecture, *variant),
            _ => return Err(bad()),
        };
        let (architecture, variant) = normalize(architecture, variant);
        Ok(Self {
            os: os.to_owned(),
            architecture,
            variant,
        })
    }

    pub(crate) fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The best entry of a list: the same variant, or the highest one below it.
    pub(crate) fn choose<'a>(&self, list: &'a [Descriptor]) -> Option<&'a Descriptor> {
        let rank = |descriptor: &Descriptor| {
            let platform = descriptor.platform.as_ref()?;
            self.rank(&platform.os, &platform.architecture, &platform.variant)
        };
        let ranked = list
            .iter()
            .filter_map(|descriptor| Some((rank(descriptor)?, descriptor)));
        // Of equals the first in the list is taken.
        ranked
            .rev()
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, descriptor)| descriptor)
    }

    /// Whether an image of this platform can run on the wanted one.
    pub(crate) fn accepts(&self, os: &str, architecture: &str, variant: &str) -> bool {
        self.rank(os, architecture, variant).is_some()
    }

    /// How well a platform fits: the number of its variant. None if it does not.
    fn rank(&self, os: &str, architecture: &str, variant: &str) -> Option<u32> {
        let (architecture, variant) = normalize(architecture, variant);
        if os != self.os || architecture != self.architecture {
            return None;
        }
        let number = |variant: &str| {
            variant
                .strip_prefix('v')
                .and_then(|v| v.parse::<u32>().ok())
        };
        match (number(&variant), number(&self.variant)) {
            (Some(have), Some(want)) => (have <= want).then_some(have),
            (None, None) => (variant == self.variant).then_some(0),
            // amd64 without a variant is v1, the least.
            (None, Some(_)) => Some(0),
            (Some(have), None) => (have == 1).then_some(0),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl Platform {
    pub(crate) fn of(descriptor: &Descriptor) -> Self {
        let platform = descriptor.platform.clone().unwrap_or_default();
        Self {
            architecture: platform.architecture,
            os: platform.os,
            variant: platform.variant,
            os_version: platform.os_version,
        }
    }
}

/// Other names of architectures, as uname and images have them. arm64 is v8 whether it says so or not, arm is v7.
fn normalize(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = match (architecture, variant) {
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("i386" | "i686" | "x86", _) => ("386", ""),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        ("powerpc64le", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::document::PlatformDocument;

    /// Which of the platforms is chosen.
    fn check(wanted: &str, offered: &[&str], want: Option<&str>) {
        let list: Vec<Descriptor> = offered
            .iter()
            .map(|text| {
                let mut parts = text.split('/').map(str::to_owned);
                let platform = PlatformDocument {
                    os: parts.next().unwrap_or_default(),
                    architecture: parts.next().unwrap_or_default(),
                    variant: parts.next().unwrap_or_default(),
                    os_version: String::new(),
                };
                Descriptor {
                    media_type: String::new(),
                    digest: Digest::of(text.as_bytes()),
                    size: 0,
                    platform: Some(platform),
                    annotations: Default::default(),
                }
            })
            .collect();
        let got = Wanted::parse(wanted)
            .unwrap()
            .choose(&list)
            .map(|descriptor| descriptor.digest.clone());
        assert_eq!(
            got,
            want.map(|text| Digest::of(text.as_bytes())),
            "{wanted} of {offered:?}"
        );
    }

    #[test]
    fn the_best_entry_is_chosen() {
        let all = [
            "unknown/unknown",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/arm64/v8",
            "linux/amd64",
            "linux/386",
        ];
        check("linux/amd64", &all, Some("linux/amd64"));
        check("linux/x86_64", &all, Some("linux/amd64"));
        check("amd64", &all, Some("linux/amd64"));
        check("linux/arm64", &all, Some("linux/arm64/v8"));
        check("linux/aarch64/v8", &all, Some("linux/arm64/v8"));
        check("linux/arm", &all, Some("linux/arm/v7"));
        check("linux/arm/v6", &all, Some("linux/arm/v6"));
        check("linux/arm/v5", &all, None);
        check("linux/s390x", &all, None);
        check("windows/amd64", &all, None);
        check(
            "linux/amd64/v3",
            &["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"],
            Some("linux/amd64/v2"),
        );
        check("linux/amd64", &["linux/amd64/v2"], None);
    }

    #[test]
    fn wrong_platforms_are_refused() {
        for text in [
            "",
            "/",
            "linux/",
            "linux/amd64/v1/x",
            "linux amd64",
            "linux/a$",
        ] {
            assert!(Wanted::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Wanted::parse("Linux/ARM64").unwrap().to_string(),
            "linux/arm64"
        );
    }
}
