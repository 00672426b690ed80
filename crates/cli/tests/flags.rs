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

/// What Docker's client exits with, and that the word behind a flag is its value.
#[test]
fn exit_codes_of_bad_command_lines() {
    let code = |line: &str| {
        let args = std::iter::once("starling").chain(line.split(' '));
        match cli::command().try_get_matches_from(args) {
            Ok(_) => 0,
            Err(err) => cli::usage_error(&err),
        }
    };
    for (line, expected) in [
        ("service create --foo a", 125),
        ("service create --replicas x a", 125),
        ("service create --replicas -1 a", 125),
        ("service create --mount type=bind a", 125),
        ("service create --name", 125),
        ("service create --restart-condition sometimes a", 1),
        ("service create", 1),
        ("service ls extra", 1),
        ("service lss", 1),
        ("swarm join-token nobody", 1),
        ("swarm update --task-history-limit -1", 0),
        ("service create --limit-cpu -1 a", 125),
        ("service create --help", 0),
    ] {
        assert_eq!(code(line), expected, "{line}");
    }
}
