//! References as Docker reads them. Many cases are from the rules of the distribution project's grammar.

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The canonical form of `text`, or the error's words.
fn canonical(text: &str) -> String {
    let text = text.replace("HEX", HEX);
    match Reference::parse_normalized(&text) {
        Ok(reference) => reference.to_string().replace(HEX, "HEX"),
        Err(error) => format!("! {error}").replace(HEX, "HEX"),
    }
}

/// Lines of `text  canonical  familiar`.
fn check_valid(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [text, want, familiar] = fields.as_slice() else {
            panic!("{line}")
        };
        assert_eq!(canonical(text), *want, "{text}");
        let reference = Reference::parse_normalized(&text.replace("HEX", HEX)).unwrap();
        assert_eq!(
            reference.familiar().replace(HEX, "HEX"),
            *familiar,
            "{text}"
        );
        // Both forms mean the same when they are read again.
        assert_eq!(
            Reference::parse_normalized(&reference.to_string()).unwrap(),
            reference,
            "{text}"
        );
        assert_eq!(
            Reference::parse_normalized(&reference.familiar()).unwrap(),
            reference,
            "{text}"
        );
    }
}

#[test]
fn familiar_names_are_completed() {
    check_valid(
        "
        busybox                          docker.io/library/busybox            busybox
        busybox:1                        docker.io/library/busybox:1          busybox:1
        library/busybox                  docker.io/library/busybox            busybox
        docker.io/busybox                docker.io/library/busybox            busybox
        docker.io/library/busybox:1.36   docker.io/library/busybox:1.36       busybox:1.36
        index.docker.io/busybox          docker.io/library/busybox            busybox
        index.docker.io/user/app         docker.io/user/app                   user/app
        user/app                         docker.io/user/app                   user/app
        user/app:v1.0-rc.1               docker.io/user/app:v1.0-rc.1         user/app:v1.0-rc.1
        a/b/c                            docker.io/a/b/c                      a/b/c
        library/a/b                      docker.io/library/a/b                library/a/b
        docker.io/a/b/c:x                docker.io/a/b/c:x                    a/b/c:x
        0                                docker.io/library/0                  0
        1/2                              docker.io/1/2                        1/2
        latest                           docker.io/library/latest             latest
        localhost                        docker.io/library/localhost          localhost
        abc:5000                         docker.io/library/abc:5000           abc:5000
        example.com                      docker.io/library/example.com        example.com
        ",
    );
}

#[test]
fn registries_are_recognised() {
    check_valid(
        "
        localhost/app                    localhost/app                        localhost/app
        localhost:5000/app               localhost:5000/app                   localhost:5000/app
        localhost:5000/app:1             localhost:5000/app:1                 localhost:5000/app:1
        127.0.0.1:5000/a/b:1             127.0.0.1:5000/a/b:1                 127.0.0.1:5000/a/b:1
        10.0.0.1/app                     10.0.0.1/app                         10.0.0.1/app
        [::1]:5000/app                   [::1]:5000/app                       [::1]:5000/app
        [2001:db8::1]/app:t              [2001:db8::1]/app:t                  [2001:db8::1]/app:t
        quay.io/org/app                  quay.io/org/app                      quay.io/org/app
        ghcr.io/org/app:sha-abc          ghcr.io/org/app:sha-abc              ghcr.io/org/app:sha-abc
        registry.example.com:443/x/y/z   registry.example.com:443/x/y/z       registry.example.com:443/x/y/z
        my-reg.example/app               my-reg.example/app                   my-reg.example/app
        reg:5000/app                     reg:5000/app                         reg:5000/app
        Registry/app                     Registry/app                         Registry/app
        UPPER.example.com/app            UPPER.example.com/app                UPPER.example.com/app
        xn--n3h.com/myimage:xn--n3h.com  xn--n3h.com/myimage:xn--n3h.com      xn--n3h.com/myimage:xn--n3h.com
        registry-1.docker.io/a           registry-1.docker.io/a               registry-1.docker.io/a
        a.b/library/x                    a.b/library/x                        a.b/library/x
        ",
    );
}

#[test]
fn digests_are_kept() {
    check_valid(
        "
        busybox@sha256:HEX               docker.io/library/busybox@sha256:HEX          busybox@sha256:HEX
        busybox:1@sha256:HEX             docker.io/library/busybox:1@sha256:HEX        busybox:1@sha256:HEX
        localhost:5000/a:1@sha256:HEX    localhost:5000/a:1@sha256:HEX                 localhost:5000/a:1@sha256:HEX
        localhost:5000/a@sha256:HEX      localhost:5000/a@sha256:HEX                   localhost:5000/a@sha256:HEX
        a/b:t@sha256:HEX                 docker.io/a/b:t@sha256:HEX                    a/b:t@sha256:HEX
        a/b@sha512:HEXHEX                docker.io/a/b@sha512:HEXHEX                   a/b@sha512:HEXHEX
        ",
    );
}

#[test]
fn path_components_follow_the_grammar() {
    for component in [
        "a",
        "a1",
        "1a",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a--b",
        "a---b",
        "a-----b",
        "a.b.c",
        "a_b-c.d__e",
        "foo--bar",
        "0.0",
        "a-1_2.3",
        "aa",
        "foo_bar.com",
        "a__a",
        "x1--y2",
    ] {
        assert_eq!(
            canonical(component),
            format!("docker.io/library/{component}")
        );
        assert_eq!(
            canonical(&format!("x/{component}/y:t")),
            format!("docker.io/x/{component}/y:t")
        );
        assert_eq!(
            canonical(&format!("r.example:1/{component}")),
            format!("r.example:1/{component}")
        );
    }
    for component in [
        "-a", "a-", "_a", "a_", ".a", "a.", "a..b", "a___b", "a._b", "a_.b", "a-_b", "a.-b",
        "a-.b", "a_-b", "a$b", "a b", "ä", "a\\b", "a!", "a?", "a#b", "a%20b", "*", "~", "a+b",
        "a,b", "a;b", "a'b", "\"a\"", "__a", "a__", "--a", "a--", "a\tb", "a\n", "\0",
    ] {
        assert_eq!(
            canonical(component),
            "! invalid reference format",
            "{component:?}"
        );
        assert_eq!(
            canonical(&format!("x/{component}/y")),
            "! invalid reference format",
            "{component:?}"
        );
        assert_eq!(
            canonical(&format!("r.example/{component}")),
            "! invalid reference format",
            "{component:?}"
        );
    }
}

#[test]
fn tags_follow_the_grammar() {
    let longest = "t".repeat(128);
    for tag in [
        "1", "latest", "_", "_a", "A", "V1.0", "1.0-rc.1", "a__b", "a..b", "a--b", "a.", "a-",
        "00", &longest,
    ] {
        assert_eq!(
            canonical(&format!("x:{tag}")),
            format!("docker.io/library/x:{tag}")
        );
        assert_eq!(canonical(&format!("h:1/x:{tag}")), format!("h:1/x:{tag}"));
    }
    let too_long = "t".repeat(129);
    for tag in [
        "", "-a", ".a", "a:b", "a b", "a/b", "ä", "a$", "a+b", "@", "a@", "a@b", "a\n", "é",
        &too_long,
    ] {
        assert_eq!(
            canonical(&format!("x:{tag}")),
            "! invalid reference format",
            "{tag:?}"
        );
        let reference = Reference::parse_normalized("x").unwrap();
        assert_eq!(reference.with_tag(tag), Err(ReferenceError::Tag), "{tag:?}");
    }
}

#[test]
fn domains_follow_the_grammar() {
    for domain in [
        "a.b",
        "a-b.c",
        "1.2.3.4",
        "a.b:0",
        "a.b:65536",
        "localhost:1",
        "[::]",
        "[::1]:9",
        "a1.b2.c3:80",
    ] {
        assert_eq!(canonical(&format!("{domain}/x")), format!("{domain}/x"));
    }
    for domain in [
        "-a.b",
        "a-.b",
        ".a",
        "a.",
        "a..b",
        "a.b:",
        "a.b:x",
        "a_b.c",
        "a.b:1:2",
        "[::1",
        "[]",
        "[g::]",
        "[::1]5000",
        "a b.c",
        "ä.b",
        "http:",
        "a.b:-1",
        ":5000",
    ] {
        assert_eq!(
            canonical(&format!("{domain}/x")),
            "! invalid reference format",
            "{domain:?}"
        );
    }
}

#[test]
fn wrong_references_are_refused_in_dockers_words() {
    for (text, want) in [
        ("", "! invalid reference format"),
        ("/", "! invalid reference format"),
        ("//", "! invalid reference format"),
        ("/x", "! invalid reference format"),
        ("x/", "! invalid reference format"),
        ("x//y", "! invalid reference format"),
        (":1", "! invalid reference format"),
        ("@", "! invalid reference format"),
        ("x@", "! invalid reference format"),
        ("x@sha256", "! invalid reference format"),
        ("x@sha256:", "! invalid reference format"),
        ("x@sha256:abc", "! invalid reference format"),
        ("x@HEX", "! invalid reference format"),
        ("x@sha256:HEX@sha256:HEX", "! invalid reference format"),
        ("x@sha256:HEX:1", "! invalid reference format"),
        ("x@1:HEX", "! invalid reference format"),
        ("x@sha256:HEX0", "! invalid checksum digest length"),
        ("x@sha512:HEX", "! invalid checksum digest length"),
        ("x@md5:HEX", "! unsupported digest algorithm"),
        ("x@sha+256:HEX", "! invalid reference format"),
        ("http://example.com/x", "! invalid reference format"),
        ("https://docker.io/busybox", "! invalid reference format"),
        (
            "X",
            "! invalid reference format: repository name (library/X) must be lowercase",
        ),
        (
            "Busybox:1",
            "! invalid reference format: repository name (library/Busybox) must be lowercase",
        ),
        (
            "user/App",
            "! invalid reference format: repository name (user/App) must be lowercase",
        ),
        (
            "docker.io/User/app",
            "! invalid reference format: repository name (User/app) must be lowercase",
        ),
        (
            "localhost:5000/APP:1",
            "! invalid reference format: repository name (APP) must be lowercase",
        ),
        (
            "HEX",
            "! invalid repository name (HEX), cannot specify 64-byte hexadecimal strings",
        ),
        (" busybox", "! invalid reference format"),
        ("busybox ", "! invalid reference format"),
        ("../x", "! invalid reference format"),
        ("x/../y", "! invalid reference format"),
        ("./x", "! invalid reference format"),
    ] {
        assert_eq!(canonical(text), want, "{text:?}");
    }
    let upper = format!("x@sha256:{}", HEX.to_uppercase());
    assert_eq!(canonical(&upper), "! invalid checksum digest format");
}

#[test]
fn long_paths_are_refused() {
    let path = "a/".repeat(127) + "a";
    assert_eq!(path.len(), 255);
    assert!(Reference::parse_normalized(&format!("r.example/{path}")).is_ok());
    assert_eq!(
        Reference::parse_normalized(&format!("r.example/{path}b")),
        Err(ReferenceError::TooLong)
    );
}

#[test]
fn parts_can_be_taken_and_replaced() {
    let text = format!("localhost:5000/team/app:1@sha256:{HEX}");
    let reference = Reference::parse_normalized(&text).unwrap();
    assert_eq!(reference.domain(), "localhost:5000");
    assert_eq!(reference.path(), "team/app");
    assert_eq!(reference.name(), "localhost:5000/team/app");
    assert_eq!(reference.familiar_name(), "localhost:5000/team/app");
    assert_eq!(reference.tag(), Some("1"));
    assert_eq!(reference.digest().map(Digest::hex), Some(HEX));
    assert!(!reference.is_name_only());
    assert_eq!(
        reference.with_tag("2").unwrap().to_string(),
        "localhost:5000/team/app:2"
    );
    let digest = Digest::of(b"");
    assert_eq!(
        reference.with_digest(digest).to_string(),
        format!("localhost:5000/team/app@sha256:{HEX}")
    );
    assert_eq!(reference.clone().or_latest(), reference);
    let busybox = Reference::parse_normalized("busybox").unwrap();
    assert!(busybox.is_name_only());
    assert_eq!(busybox.or_latest().familiar(), "busybox:latest");
}

#[test]
fn ids_are_told_from_names() {
    let id = |text: &str| matches!(AnyReference::parse(text), Ok(AnyReference::Id(_)));
    assert!(id(HEX));
    assert!(id(&format!("sha256:{HEX}")));
    assert!(!id(&HEX[1..]));
    assert!(
        !id("sha256:e3b0"),
        "a name with a tag, which may turn out to be the beginning of an ID"
    );
    assert!(!id("e3b0c442"));
    assert!(AnyReference::parse("E3B0").is_err());
}

#[test]
fn references_are_texts_in_json() {
    let reference = Reference::parse_normalized("busybox:1").unwrap();
    let json = serde_json::to_string(&reference).unwrap();
    assert_eq!(json, r#""docker.io/library/busybox:1""#);
    assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
    assert!(serde_json::from_str::<Reference>(r#""A b""#).is_err());
}

proptest::proptest! {
    /// No text makes it panic, and what it takes it reads again as the same.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        if let Ok(reference) = Reference::parse_normalized(&text) {
            proptest::prop_assert_eq!(Reference::parse_normalized(&reference.to_string()).unwrap(), reference);
        }
    }

    #[test]
    fn texts_that_look_like_references(text in "([a-zA-Z0-9._-]{1,6}(:[0-9]{0,3})?/)?[a-z0-9._/-]{0,12}(:[A-Za-z0-9._-]{0,6})?(@sha256:[0-9a-f]{64})?") {
        if let Ok(reference) = Reference::parse_normalized(&text) {
            proptest::prop_assert_eq!(Reference::parse_normalized(&reference.to_string()).unwrap(), reference.clone());
            proptest::prop_assert_eq!(Reference::parse_normalized(&reference.familiar()).unwrap(), reference);
        }
    }
}
