//! Labels that services ask about, in constraints and preferences.

use model::Node;
use model::task::Placement;

/// One label of nodes: the operator's, or the daemon's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LabelKey {
    of_engine: bool,
    name: String,
}

const NODE: &str = "node.labels.";
const ENGINE: &str = "engine.labels.";

impl LabelKey {
    /// The label that a constraint with this key looks at.
    pub(crate) fn of_constraint(key: &str) -> Option<LabelKey> {
        let (of_engine, name) = match key.strip_prefix(NODE) {
            Some(name) => (false, name),
            None => (true, key.strip_prefix(ENGINE)?),
        };
        Some(LabelKey {
            of_engine,
            name: name.into(),
        })
    }

    /// The label that a preference spreads over; others than labels are ignored, as in Docker.
    pub(crate) fn of_preference(text: &str) -> Option<LabelKey> {
        let after = |prefix: &str| {
            let begin = text.get(..prefix.len())?;
            begin
                .eq_ignore_ascii_case(prefix)
                .then(|| &text[prefix.len()..])
        };
        let (of_engine, name) = match after(NODE) {
            Some(name) => (false, name),
            None => (true, after(ENGINE)?),
        };
        (!name.is_empty()).then(|| LabelKey {
            of_engine,
            name: name.into(),
        })
    }

    /// Labels that `placement` spreads over, outer to inner.
    pub(crate) fn preferred(placement: Option<&Placement>) -> Vec<LabelKey> {
        let preferences = placement.map_or(&[][..], |p| &p.preferences);
        let labels = preferences.iter();
        labels.filter_map(|p| LabelKey::of_preference(p)).collect()
    }

    /// The value on `node`; a label that is missing is empty.
    pub(crate) fn value<'n>(&self, node: &'n Node) -> &'n str {
        let labels = if self.of_engine {
            node.description.as_ref().map(|d| &d.engine_labels)
        } else {
            Some(&node.spec.labels)
        };
        labels
            .and_then(|l| l.get(&self.name))
            .map_or("", String::as_str)
    }
}

/// Adds a part to a text that stands for several of them. The length before each keeps them apart, whatever they are
/// made of.
pub(crate) fn push_part(text: &mut String, part: &str) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = part.len();
    while at > 0 && (rest > 0 || at == digits.len()) {
        at -= 1;
        digits[at] = (rest % 10) as u8;
        rest /= 10;
    }
    text.extend(digits[at..].iter().map(|digit| char::from(b'0' + digit)));
    text.push(':');
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::push_part;

    #[test]
    fn parts_stay_apart() {
        let mut text = String::new();
        let long = "x".repeat(120);
        for part in ["", "1:a", "b", &long] {
            push_part(&mut text, part);
        }
        assert_eq!(text, format!("0:3:1:a1:b120:{long}"));
    }
}
