//! A program that is only a supervisor, for the tests of this crate: the real one is `starling supervisor`.

#![forbid(unsafe_code)]

fn main() {
    sandbox::supervisor_main(std::env::args_os().skip(2))
}
