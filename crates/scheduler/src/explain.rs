//! Why no node was found, in Docker's words.

use crate::filter::Filter;

/// How many nodes each filter refused.
#[derive(Default)]
pub(crate) struct Tally([u64; Filter::ALL.len()]);

impl Tally {
    pub(crate) fn add(&mut self, filter: Filter) {
        self.0[filter as usize] += 1;
    }

    /// `no suitable node (scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks)`:
    /// the filter that refused most comes first.
    pub(crate) fn explain(&self) -> String {
        let mut counts: Vec<(Filter, u64)> = Filter::ALL
            .into_iter()
            .map(|filter| (filter, self.0[filter as usize]))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if counts.is_empty() {
            return "no suitable node".into();
        }
        let pieces: Vec<String> = counts.into_iter().map(|(f, n)| piece(f, n)).collect();
        format!("no suitable node ({})", pieces.join("; "))
    }
}

fn piece(filter: Filter, count: u64) -> String {
    let nodes = if count == 1 {
        "1 node".into()
    } else {
        format!("{count} nodes")
    };
    match filter {
        Filter::Ready => format!("{nodes} not available for new tasks"),
        Filter::Resources => format!("insufficient resources on {nodes}"),
        Filter::Constraint => format!("scheduling constraints not satisfied on {nodes}"),
        Filter::Platform => format!("unsupported platform on {nodes}"),
        Filter::MaxReplicas => "max replicas per node limit exceed".into(),
    }
}
