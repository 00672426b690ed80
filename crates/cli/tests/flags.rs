//! Each flag in the help of Docker's commands is known to ours.

use clap::Command;

const NAMES: &str = include_str!("fixtures/docker-flags.txt");

fn find<'a>(command: &'a Command, path: &str) -> &'a Command {
    path.split(' ').fold(command, |command, word| {
        command
            .find_subcommand(word)
            .unwrap_or_else(|| panic!("no command {word} of {path}"))
    })
}

#[test]
fn every_flag_of_docker_is_known() {
    let all = cli::command();
    let mut command = &all;
    let (mut checked, mut missing) = (0, Vec::new());
    for line in NAMES.lines() {
        if let Some(path) = line.strip_prefix("# docker ") {
            command = find(&all, path);
            continue;
        }
        for flag in line.split(' ').filter(|word| word.starts_with('-')) {
            checked += 1;
            let known = match flag.strip_prefix("--") {
                Some(long) => command.get_arguments().any(|arg| {
                    let aliases = arg.get_all_aliases().unwrap_or_default();
                    arg.get_long() == Some(long) || aliases.contains(&long)
                }),
                None => {
                    let short = flag.chars().nth(1);
                    command.get_arguments().any(|arg| arg.get_short() == short)
                }
            };
            if !known {
                missing.push(format!("{} {flag}", command.get_name()));
            }
        }
    }
    assert!(checked > 250, "{checked}");
    assert!(missing.is_empty(), "{missing:#?}");
}
