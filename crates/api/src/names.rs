//! Names for services that come without one.

const MANNERS: [&str; 32] = [
    "able", "bold", "brisk", "calm", "clear", "clever", "daring", "eager", "early", "fair", "fast",
    "fine", "fond", "frank", "free", "gentle", "glad", "grand", "keen", "kind", "lively", "lucid",
    "merry", "neat", "proud", "quick", "quiet", "ready", "sharp", "steady", "swift", "warm",
];
const BIRDS: [&str; 32] = [
    "auk", "bunting", "crane", "crow", "curlew", "dipper", "dunlin", "egret", "falcon", "finch",
    "gannet", "godwit", "heron", "ibis", "jay", "kestrel", "kite", "lapwing", "lark", "linnet",
    "martin", "merlin", "osprey", "owl", "petrel", "pipit", "plover", "raven", "robin", "swift",
    "tern", "wren",
];

/// A name made of random bits: two words and a number, so that two hardly ever meet.
pub(crate) fn generate(random: u128) -> String {
    let pick =
        |words: &[&'static str; 32], shift: u32| words[(random >> shift) as usize % words.len()];
    format!(
        "{}-{}-{}",
        pick(&MANNERS, 0),
        pick(&BIRDS, 16),
        (random >> 32) % 10_000
    )
}
