//! The identity in use: renewed without a restart.

use crate::ca::Identity;
use crate::tls::{self, TlsError};
use rustls::{ClientConfig, ServerConfig};
use std::sync::{Arc, PoisonError, RwLock};

/// This node's identity with the TLS configurations made of it. New connections use the newest.
pub(crate) struct Credentials {
    current: RwLock<Arc<Current>>,
}

pub(crate) struct Current {
    pub(crate) identity: Identity,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Credentials {
    pub(crate) fn new(identity: Identity) -> Result<Credentials, TlsError> {
        Ok(Credentials {
            current: RwLock::new(Arc::new(Current::new(identity)?)),
        })
    }

    pub(crate) fn get(&self) -> Arc<Current> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    pub(crate) fn replace(&self, identity: Identity) -> Result<(), TlsError> {
        let new = Arc::new(Current::new(identity)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

impl Current {
    fn new(identity: Identity) -> Result<Current, TlsError> {
        Ok(Current {
            server: tls::server(&identity)?,
            client: tls::client(&identity)?,
            identity,
        })
    }
}
