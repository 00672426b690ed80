//! The supervisor process.

use std::ffi::OsString;

/// Runs the supervisor; `args` are those after the subcommand: `--exec-root DIR`. The caller must
/// not have started a thread. Never returns.
pub fn supervisor_main(args: impl IntoIterator<Item = OsString>) -> ! {
    let count = args.into_iter().count();
    println!("not built yet ({count} arguments)");
    std::process::exit(1)
}
