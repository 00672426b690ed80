//! Signals by name or number, as Docker takes them.

/// Names in the order of Linux's numbers, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
/// Other names of some, as Docker takes them.
const ALIASES: [(&str, i32); 3] = [("IOT", 6), ("CLD", 17), ("POLL", 29)];
/// First real-time signal as the C library counts (two are its own).
const RTMIN: i32 = 34;
/// Last real-time signal.
const RTMAX: i32 = 64;
/// SIGKILL.
pub(crate) const KILL: i32 = 9;
/// SIGTERM.
pub(crate) const TERM: i32 = 15;

/// The number of a signal: `15`, `TERM`, `sigterm`, `RTMIN+3`.
///
/// # Errors
/// Docker's text when there is no such signal.
pub fn parse(text: &str) -> Result<i32, String> {
    let invalid = || format!("invalid signal: {text}");
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=RTMAX).contains(&number) {
            Ok(number)
        } else {
            Err(invalid())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Ok(i32::try_from(at).unwrap_or(0) + 1);
    }
    if let Some((_, number)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Ok(*number);
    }
    let real_time = if name == "RTMIN" {
        Some(RTMIN)
    } else if name == "RTMAX" {
        Some(RTMAX)
    } else if let Some(offset) = name.strip_prefix("RTMIN+") {
        offset
            .parse::<u8>()
            .ok()
            .map(|offset| RTMIN + i32::from(offset))
    } else if let Some(offset) = name.strip_prefix("RTMAX-") {
        offset
            .parse::<u8>()
            .ok()
            .map(|offset| RTMAX - i32::from(offset))
    } else {
        None
    };
    real_time
        .filter(|number| (RTMIN..=RTMAX).contains(number))
        .ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn signals_have_names_and_numbers() {
        let cases = [
            ("15", Ok(15)),
            ("TERM", Ok(15)),
            ("sigquit", Ok(3)),
            ("SIGRTMIN+3", Ok(37)),
            ("RTMAX-1", Ok(63)),
            ("SYS", Ok(31)),
            ("SIGIOT", parse("ABRT")),
            ("CLD", parse("CHLD")),
            ("POLL", parse("IO")),
        ];
        for (text, number) in cases {
            assert_eq!(parse(text), number, "{text}");
        }
        for text in ["0", "65", "-1", "", "SIGNOPE", "RTMIN+31", "RTMIN-1"] {
            assert_eq!(parse(text), Err(format!("invalid signal: {text}")));
        }
    }
}
