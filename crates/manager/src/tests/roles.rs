//! Who is refused, over real TLS.

use super::*;
use crate::connector::{Connector, connect_with};
use crate::credentials::Credentials;
use crate::tls;
use std::os::unix::fs::PermissionsExt;
use tonic::Code;
use tonic::transport::Channel;
use wire::pb::ca::ca_client::CaClient;
use wire::pb::ca::{RenewRequest, RootRequest};
use wire::pb::control::control_client::ControlClient;
use wire::pb::dispatcher::dispatcher_client::DispatcherClient;
use wire::pb::dispatcher::{Hello, ToManager, to_manager};
use wire::pb::logs::logs_client::LogsClient;
use wire::pb::membership::membership_client::MembershipClient;
use wire::raft::raft_client::RaftClient;

/// What each of the managers' calls answers.
async fn manager_calls(channel: &Channel) -> Vec<Code> {
    let c = || channel.clone();
    let query = wire::pb::control::QueryRequest::from(&Query::Cluster);
    vec![
        ControlClient::new(c())
            .query(query)
            .await
            .map_or_else(|s| s.code(), |_| Code::Ok),
        RaftClient::new(c())
            .vote(wire::raft::VoteRequest::default())
            .await
            .map_or_else(|s| s.code(), |_| Code::Ok),
        LogsClient::new(c())
            .read(wire::pb::logs::ReadRequest::default())
            .await
            .map_or_else(|s| s.code(), |_| Code::Ok),
        MembershipClient::new(c())
            .leave(wire::pb::membership::LeaveRequest::default())
            .await
            .map_or_else(|s| s.code(), |_| Code::Ok),
    ]
}

async fn session(channel: &Channel) -> Code {
    let hello = ToManager {
        message: Some(to_manager::Message::Hello(Hello {
            description: Some((&model::NodeDescription::default()).into()),
            last_index: 0,
        })),
    };
    let outgoing = tokio_stream::iter([hello]);
    let opened = DispatcherClient::new(channel.clone())
        .session(outgoing)
        .await;
    opened.map_or_else(|s| s.code(), |_| Code::Ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_workers_and_foreigners_are_refused() {
    let founder = TestNode::founder().await;
    let addr = founder.addr();
    let root = founder.swarm.info().cluster.unwrap().ca.cert_pem.clone();

    let stranger = connect_with(&addr, tls::stranger(&root).unwrap())
        .await
        .unwrap();
    assert_eq!(manager_calls(&stranger).await, [Code::Unauthenticated; 4]);
    assert_eq!(session(&stranger).await, Code::Unauthenticated);
    CaClient::new(stranger).root(RootRequest {}).await.unwrap();

    let worker = TestNode::joined(&founder, Role::Worker).await;
    let connector = worker
        .swarm
        .membership()
        .borrow()
        .clone()
        .unwrap()
        .connector;
    let channel = connector.channel(&addr).await.unwrap();
    assert_eq!(manager_calls(&channel).await, [Code::PermissionDenied; 4]);
    assert_eq!(session(&channel).await, Code::Ok);

    // A manager of another cluster that was told this one's root.
    let other = TestNode::founder().await;
    let foreign = other.swarm.membership().borrow().clone().unwrap().connector;
    let error = foreign.channel(&addr).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let config = foreign_client(&other, &root);
    let refused = match connect_with(&addr, config).await {
        Err(_) => true,
        // In TLS 1.3 a client hears only with its first read that its certificate was refused.
        Ok(channel) => CaClient::new(channel).root(RootRequest {}).await.is_err(),
    };
    assert!(refused);
    for node in [founder, worker, other] {
        node.swarm.shutdown().await;
    }
}

/// Shows the certificate of `node`'s cluster to a server of another one.
fn foreign_client(node: &TestNode, root: &str) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let file = |name: &str| node.dir.path().join("swarm/certificates").join(name);
    let certificate = CertificateDer::from_pem_file(file("swarm-node.crt")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("swarm-node.key")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_refused_with_the_certificate_that_it_has() {
    let founder = TestNode::founder().await;
    let worker = TestNode::joined(&founder, Role::Worker).await;
    let id = worker.swarm.info().node.unwrap();
    let connector = worker
        .swarm
        .membership()
        .borrow()
        .clone()
        .unwrap()
        .connector;
    let channel = connector.channel(&founder.addr()).await.unwrap();
    let write = Write::RemoveNode {
        id: id.clone(),
        force: true,
    };
    founder.swarm.write(write).await.unwrap();
    let error = DispatcherClient::new(channel.clone())
        .session(tokio_stream::empty())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert_eq!(
        error.message(),
        format!("Permission denied: node {id} was removed from swarm")
    );
    let identity = crate::ca::Identity::load(&worker.dir.path().join("swarm/certificates"));
    let identity = identity.unwrap().unwrap();
    let renew = RenewRequest {
        csr_pem: identity.signing_request().unwrap(),
        cert_pem: identity.certificate_pem().into(),
        forwarded: false,
    };
    let error = CaClient::new(channel).renew(renew).await.unwrap_err();
    assert!(
        error.message().contains("was removed from swarm"),
        "{error}"
    );
    for node in [founder, worker] {
        node.swarm.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_with_proof_of_the_key() {
    let founder = TestNode::founder().await;
    let worker = TestNode::joined(&founder, Role::Worker).await;
    let dir = worker.dir.path().join("swarm/certificates");
    let identity = crate::ca::Identity::load(&dir).unwrap().unwrap();
    let root = identity.root_pem().to_owned();
    let renew = RenewRequest {
        csr_pem: identity.signing_request().unwrap(),
        cert_pem: identity.certificate_pem().into(),
        forwarded: false,
    };
    // Without a client certificate, as a node does whose certificate has expired.
    let channel = connect_with(&founder.addr(), tls::stranger(&root).unwrap())
        .await
        .unwrap();
    let reply = CaClient::new(channel)
        .renew(renew)
        .await
        .unwrap()
        .into_inner();
    let renewed = identity.renewed(reply.cert_pem).unwrap();
    assert_eq!(renewed.node(), identity.node());
    assert_ne!(renewed.certificate_pem(), identity.certificate_pem());
    let credentials = Arc::new(Credentials::new(renewed).unwrap());
    let channel = Connector::new(credentials)
        .channel(&founder.addr())
        .await
        .unwrap();
    assert_eq!(session(&channel).await, Code::Ok);
    let mode = std::fs::metadata(dir.join("swarm-node.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for node in [founder, worker] {
        node.swarm.shutdown().await;
    }
}
