mod bench;
mod ladder;
mod random;
mod restart;
mod stream;
