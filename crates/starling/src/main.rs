//! The one binary: `starling daemon`, the supervisor that it starts, and the command line.

#![forbid(unsafe_code)]

mod config;
mod daemon;
mod database;
mod glue;
mod lock;
mod log;
mod socket;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    network::use_linked_services_only();
    let args: Vec<OsString> = std::env::args_os().collect();
    let code = match args.get(1).and_then(|arg| arg.to_str()) {
        Some("daemon") => daemon::main(&args[1..]),
        Some("supervisor") => sandbox::supervisor_main(args.into_iter().skip(2)),
        _ => cli::run(args),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
