pub(crate) mod bench;
mod health;
mod ladder;
mod payloads;
mod random;
mod restart;
mod stream;
