//! Which clients' requests have been applied: the same request is applied once, however often it is proposed.

use model::change::RequestId;
use model::snapshot::AppliedRequest;
use std::collections::{BTreeMap, VecDeque};

/// Applied requests that are remembered. A client tries again for some seconds at most; at 2,000 writes per
/// second this is a quarter of a minute, and it takes about 2 MiB.
pub const MAX_REQUESTS: usize = 32_768;

/// The last [`MAX_REQUESTS`] applied requests. Refused ones are not kept: they had no effect, and may be tried again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    order: VecDeque<RequestId>,
    by_id: BTreeMap<RequestId, AppliedRequest>,
}

impl Requests {
    pub(crate) fn get(&self, id: RequestId) -> Option<&AppliedRequest> {
        self.by_id.get(&id)
    }

    pub(crate) fn insert(&mut self, request: AppliedRequest) {
        let id = request.id;
        if self.by_id.insert(id, request).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_REQUESTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    /// Oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AppliedRequest> {
        self.order.iter().filter_map(|id| self.by_id.get(id))
    }
}
