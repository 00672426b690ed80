//! Filters that several lists share.

use api_types::Filters;
use model::Labels;

/// Ids and names of swarm objects match by their beginnings; labels by key or key and value.
pub(crate) fn object(filters: &Filters, id: &str, name: &str, labels: &Labels) -> bool {
    filters.prefix("id", id) && filters.prefix("name", name) && filters.labels("label", labels)
}
