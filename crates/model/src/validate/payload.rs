//! Secrets and configs as objects.

use super::{Invalid, cluster, invalid, name};
use crate::payload::{PayloadKind, PayloadSpec, TEMPLATING_GOLANG};

/// A secret or a config that is to be made.
///
/// # Errors
/// With Docker's text.
pub fn payload(kind: PayloadKind, spec: &PayloadSpec) -> Result<(), Invalid> {
    name::payload_name(&spec.name)?;
    cluster::labels(&format!("the {}", kind.name()), &spec.labels)?;
    if let Some(driver) = &spec.driver {
        return invalid(format!(
            "{} driver {:?} is not there: secrets are kept by the cluster itself",
            kind.name(),
            driver.name
        ));
    }
    if let Some(templating) = &spec.templating
        && templating.name != TEMPLATING_GOLANG
    {
        return invalid(format!(
            "unrecognized template driver {:?}: use {TEMPLATING_GOLANG:?}",
            templating.name
        ));
    }
    let bytes = spec.data.0.len();
    if bytes == 0 || bytes >= kind.max_bytes() {
        return invalid(format!(
            "{} data must be larger than 0 and less than {} bytes",
            kind.name(),
            kind.max_bytes()
        ));
    }
    Ok(())
}
