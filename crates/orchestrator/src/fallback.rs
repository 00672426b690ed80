//! Where a failed update goes back to.

use model::{Service, ServiceSpec};
use std::sync::Arc;

/// The specification before the failed one: the previous one, whole, as in Docker.
///
/// When it has the same template (somebody scaled the service in the middle of the update), it would fail as well:
/// then it is the template of the newest older revision that has another one.
pub(crate) fn of(service: &Service) -> Option<Arc<ServiceSpec>> {
    let differs =
        |old: &ServiceSpec| old.task != service.spec.task || old.endpoint != service.spec.endpoint;
    let previous = service.previous_spec.as_ref();
    if let Some(previous) = previous.filter(|old| differs(old)) {
        return Some(previous.clone());
    }
    let older = service.history.iter().rev().find(|r| differs(&r.spec))?;
    Some(Arc::new(service.spec.back_to(&older.spec)))
}
