//! A program that is only a supervisor, for the tests of this crate: the real one is `starling supervisor`.

fn main() {
    sandbox::supervisor_main(std::env::args_os().skip(2))
}
