//! `--network` and `--publish`.

use super::csv;
use api_types::network::NetworkAttachmentConfig;
use api_types::service::PortConfig;

/// Reads `name` or `name=n,alias=a,driver-opt=k=v`.
pub fn attachment(text: &str) -> Result<NetworkAttachmentConfig, String> {
    if !text.contains('=') {
        if text.is_empty() {
            return Err("the name of a network is empty".to_owned());
        }
        return Ok(NetworkAttachmentConfig {
            target: text.to_owned(),
            ..NetworkAttachmentConfig::default()
        });
    }
    let mut network = NetworkAttachmentConfig::default();
    for field in csv(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field {field}: expected key=value"))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut network.target),
            "alias" => network.aliases.push(value.to_owned()),
            "driver-opt" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or("invalid key value pair format in driver options")?;
                network
                    .driver_opts
                    .insert(name.to_owned(), value.to_owned());
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    if network.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(network)
}

/// Reads `8080:80/udp`, `80`, `8000-8002:80-82` or `published=8080,target=80,protocol=tcp,mode=host`.
pub fn ports(text: &str) -> Result<Vec<PortConfig>, String> {
    if text.contains('=') {
        long(text).map(|port| vec![port])
    } else {
        short(text)
    }
}

fn long(text: &str) -> Result<PortConfig, String> {
    let mut port = PortConfig {
        protocol: "tcp".to_owned(),
        publish_mode: "ingress".to_owned(),
        ..PortConfig::default()
    };
    for field in csv(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field: {field}"))?;
        match key.trim().to_ascii_lowercase().as_str() {
            "protocol" => port.protocol = protocol(value)?,
            "mode" if matches!(value, "ingress" | "host") => {
                value.clone_into(&mut port.publish_mode)
            }
            "mode" => {
                return Err(format!(
                    "invalid publish mode value ({value}): must be either 'ingress' or 'host'"
                ));
            }
            "target" => {
                port.target_port = number(value).map_err(|_| {
                    format!("invalid target port ({value}): value must be an integer")
                })?
            }
            "published" if value.is_empty() => {}
            "published" => {
                port.published_port = number(value).map_err(|_| {
                    format!("invalid published port ({value}): value must be an integer")
                })?
            }
            key => return Err(format!("invalid field key: {key}")),
        }
    }
    if port.target_port == 0 {
        return Err("missing mandatory field 'target'".to_owned());
    }
    Ok(port)
}

fn short(text: &str) -> Result<Vec<PortConfig>, String> {
    let (addresses, protocol_name) = text.split_once('/').unwrap_or((text, "tcp"));
    if addresses.is_empty() {
        return Err("no port specified: <empty>".to_owned());
    }
    let protocol = protocol(protocol_name)
        .map_err(|_| format!("invalid proto: {protocol_name} (must be tcp, udp or sctp)"))?;
    let (published, target) = match addresses.rsplit_once(':') {
        Some((published, _)) if published.contains(':') => {
            return Err(format!(
                "hostip is not supported in {text:?}: a service's port is published on all hosts"
            ));
        }
        Some((published, target)) => (published, target),
        None => ("", addresses),
    };
    let targets = range(target).map_err(|why| format!("invalid containerPort: {target}: {why}"))?;
    let publisheds = if published.is_empty() {
        None
    } else {
        Some(range(published).map_err(|why| format!("invalid hostPort: {published}: {why}"))?)
    };
    if let Some(publisheds) = &publisheds
        && publisheds.len() != targets.len()
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {target} and {published}"
        ));
    }
    let port = |(index, target_port): (usize, u32)| PortConfig {
        protocol: protocol.clone(),
        target_port,
        published_port: publisheds.as_ref().map_or(0, |ports| ports[index]),
        publish_mode: "ingress".to_owned(),
        ..PortConfig::default()
    };
    Ok(targets.into_iter().enumerate().map(port).collect())
}

fn protocol(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        Ok(lower)
    } else {
        Err(format!(
            "invalid protocol value '{text}': must be tcp, udp or sctp"
        ))
    }
}

/// A port number; also what `--publish-rm` takes.
pub fn number(text: &str) -> Result<u32, String> {
    text.parse::<u16>()
        .map(u32::from)
        .map_err(|_| format!("invalid port {text:?}: must be a number from 0 to 65535"))
}

fn range(text: &str) -> Result<Vec<u32>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        Err("the range is backwards".to_owned())
    } else {
        Ok((first..=last).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, json: &str) {
        assert_eq!(
            serde_json::to_string(&ports(text).unwrap()).unwrap(),
            json,
            "{text}"
        );
    }

    #[test]
    fn published() {
        check(
            "8080:80",
            r#"[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"}]"#,
        );
        check(
            "53/udp",
            r#"[{"Protocol":"udp","TargetPort":53,"PublishMode":"ingress"}]"#,
        );
        check(
            "published=8080,target=80,mode=host",
            r#"[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"host"}]"#,
        );
        assert_eq!(
            ports("8000-8002:80-82")
                .unwrap()
                .iter()
                .map(|port| (port.published_port, port.target_port))
                .collect::<Vec<_>>(),
            [(8000, 80), (8001, 81), (8002, 82)]
        );
        for text in [
            "",
            "a",
            "80:a",
            "1:2:3",
            "70000",
            "80/xyz",
            "published=1",
            "target=80,mode=x",
            "2-1",
            "1-3:1-2",
        ] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_told_in_dockers_words() {
        for (text, why) in [
            ("", "no port specified: <empty>"),
            ("x", "invalid containerPort: x"),
            ("80:x", "invalid containerPort: x"),
            ("x:80", "invalid hostPort: x"),
            ("80/xyz", "invalid proto: xyz"),
            (
                "1-3:1-2",
                "invalid ranges specified for container and host Ports: 1-2 and 1-3",
            ),
            ("1.2.3.4:80:80", "hostip is not supported"),
            ("published=1", "missing mandatory field 'target'"),
            ("target=80,foo", "invalid field: foo"),
            ("target=80,colour=x", "invalid field key: colour"),
            ("target=80,protocol=xyz", "invalid protocol value 'xyz'"),
            (
                "target=80,mode=x",
                "invalid publish mode value (x): must be either 'ingress' or 'host'",
            ),
            (
                "target=x",
                "invalid target port (x): value must be an integer",
            ),
            (
                "published=x,target=1",
                "invalid published port (x): value must be an integer",
            ),
        ] {
            let told = ports(text).unwrap_err();
            assert!(told.contains(why), "{text}: {told}");
        }
        for (text, why) in [
            ("alias=x", "network name/id is not specified"),
            ("name=n,colour=x", "invalid field key colour"),
            (
                "name=n,driver-opt=k",
                "invalid key value pair format in driver options",
            ),
        ] {
            assert!(attachment(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn networks() {
        let json = |text: &str| serde_json::to_string(&attachment(text).unwrap()).unwrap();
        assert_eq!(json("host"), r#"{"Target":"host"}"#);
        assert_eq!(
            json("name=n,alias=a,alias=b,driver-opt=k=v"),
            r#"{"Target":"n","Aliases":["a","b"],"DriverOpts":{"k":"v"}}"#
        );
        for text in ["", "alias=a", "name=n,colour=red", "name=n,driver-opt=k"] {
            assert!(attachment(text).is_err(), "{text}");
        }
    }
}
