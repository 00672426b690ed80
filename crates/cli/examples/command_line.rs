//! The command line alone, to try it against any daemon that speaks Docker's API.

fn main() {
    std::process::exit(cli::run(std::env::args_os().collect()));
}
