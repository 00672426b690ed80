//! Certificates and what they prove.

use crate::ca::{CaError, CertificateAuthority, Identity, Issued, new_key, signing_request};
use model::cluster::RootCa;
use model::{ClusterId, NodeId, Role};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

const VALIDITY: Duration = Duration::from_secs(100 * 3600);

fn issue(ca: &RootCa, key: &str, role: Role) -> String {
    let issued = Issued {
        node: &NodeId::from("n0de"),
        role,
        cluster: &ClusterId::from("c1uster"),
        validity: VALIDITY,
    };
    let authority = CertificateAuthority::load(ca).unwrap();
    authority
        .issue(&signing_request(key).unwrap(), &issued)
        .unwrap()
}

fn identity(ca: &RootCa, role: Role) -> Identity {
    let key = new_key().unwrap();
    Identity::new(ca.cert_pem.clone(), issue(ca, &key, role), key).unwrap()
}

#[test]
fn a_certificate_says_who_may_do_what_where() {
    let ca = CertificateAuthority::create().unwrap();
    for role in [Role::Worker, Role::Manager] {
        let identity = identity(&ca, role);
        assert_eq!(identity.node().as_str(), "n0de");
        assert_eq!(identity.cluster().as_str(), "c1uster");
        assert_eq!(identity.role(), role);
    }
}

#[test]
fn an_identity_survives_on_disk_and_its_key_is_private() {
    let ca = CertificateAuthority::create().unwrap();
    let identity = identity(&ca, Role::Worker);
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("certificates");
    assert!(Identity::load(&dir).unwrap().is_none());
    identity.store(&dir).unwrap();
    let loaded = Identity::load(&dir).unwrap().unwrap();
    assert_eq!(loaded.certificate_pem(), identity.certificate_pem());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.join("swarm-node.key")), 0o600);
    assert_eq!(mode(dir.clone()), 0o700);
    std::fs::remove_file(dir.join("swarm-node.key")).unwrap();
    assert!(Identity::load(&dir).is_err());
}

#[test]
fn parts_that_do_not_belong_together_are_no_identity() {
    let (ca, other) = (
        CertificateAuthority::create().unwrap(),
        CertificateAuthority::create().unwrap(),
    );
    let (key, other_key) = (new_key().unwrap(), new_key().unwrap());
    let certificate = issue(&ca, &key, Role::Worker);
    assert!(Identity::new(ca.cert_pem.clone(), certificate.clone(), other_key).is_err());
    assert!(Identity::new(other.cert_pem, certificate, key.clone()).is_err());
    assert!(Identity::new(ca.cert_pem.clone(), ca.cert_pem, key).is_err());
}

#[test]
fn renewal_needs_the_last_certificate_and_its_key() {
    let ca = CertificateAuthority::create().unwrap();
    let authority = CertificateAuthority::load(&ca).unwrap();
    let mine = identity(&ca, Role::Worker);
    let request = mine.signing_request().unwrap();
    let node = authority
        .check_renewal(&request, mine.certificate_pem())
        .unwrap();
    assert_eq!(node.as_str(), "n0de");

    let thief = signing_request(&new_key().unwrap()).unwrap();
    let error = authority
        .check_renewal(&thief, mine.certificate_pem())
        .unwrap_err();
    assert!(matches!(error, CaError::OtherKey), "{error}");

    let foreign = identity(&CertificateAuthority::create().unwrap(), Role::Manager);
    let request = foreign.signing_request().unwrap();
    let error = authority
        .check_renewal(&request, foreign.certificate_pem())
        .unwrap_err();
    assert!(matches!(error, CaError::Foreign), "{error}");

    let error = authority
        .check_renewal("no request", mine.certificate_pem())
        .unwrap_err();
    assert!(matches!(error, CaError::Request(_)), "{error}");
}

#[test]
fn certificates_are_renewed_between_half_and_four_fifths_of_their_time() {
    let ca = CertificateAuthority::create().unwrap();
    let identity = identity(&ca, Role::Worker);
    let now = SystemTime::now();
    // Backdated by an hour: 101 h in all, of which one has passed.
    let hours = |fraction| identity.renew_in(now, fraction).as_secs_f64() / 3600.0;
    assert!((hours(0.0) - 49.5).abs() < 0.1, "{}", hours(0.0));
    assert!((hours(1.0) - 79.8).abs() < 0.1, "{}", hours(1.0));
    let late = now + Duration::from_secs(90 * 3600);
    assert_eq!(identity.renew_in(late, 0.0), Duration::ZERO);
}
