//! Lines that change in place on a terminal, and are written anew when they change elsewhere.

use crate::console::Console;
use crate::error::Result;

/// Longer lines would wrap on a narrow terminal and tear the picture apart.
const MAX_WIDTH: usize = 79;

/// Some lines, each with an id in front.
#[derive(Debug, Default)]
pub struct Board {
    lines: Vec<(String, String)>,
    /// Lines on the terminal, from the cursor upwards.
    drawn: usize,
}

impl Board {
    /// Sets the line `id`, which comes below the others when it is new.
    pub fn set(&mut self, console: &mut Console, id: &str, text: &str) -> Result<()> {
        match self.lines.iter_mut().find(|(there, _)| there == id) {
            Some((_, old)) if old == text => return Ok(()),
            Some((_, old)) => text.clone_into(old),
            None => self.lines.push((id.to_owned(), text.to_owned())),
        }
        if console.redraws {
            return self.draw(console);
        }
        // Blank lines only hold a place on a terminal.
        if text.trim().is_empty() {
            Ok(())
        } else {
            console.line(joined(id, text))
        }
    }

    fn draw(&mut self, console: &mut Console) -> Result<()> {
        let mut picture = if self.drawn > 0 {
            format!("\x1b[{}A", self.drawn)
        } else {
            String::new()
        };
        for (id, text) in &self.lines {
            let line: String = joined(id, text).chars().take(MAX_WIDTH).collect();
            picture.push_str(&format!("\r\x1b[2K{line}\n"));
        }
        self.drawn = self.lines.len();
        console.write(picture.as_bytes())
    }
}

fn joined(id: &str, text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if id.is_empty() {
        text
    } else {
        format!("{id}: {}", text.trim_end())
    }
}

/// A bar of `width` characters.
pub fn bar(current: u64, total: u64, width: usize) -> String {
    let filled = if total == 0 {
        0
    } else {
        (current.min(total) as usize * width) / total as usize
    };
    let head = usize::from(filled < width);
    format!(
        "[{}{}{}]",
        "=".repeat(filled),
        ">".repeat(head),
        " ".repeat(width - filled - head)
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    /// Output that tests can read.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn play(redraws: bool) -> String {
        let out = Shared::default();
        let mut console = Console::new(out.clone(), io::sink());
        console.redraws = redraws;
        let mut board = Board::default();
        for (id, text) in [
            ("all", "0 of 2"),
            ("1/2", " "),
            ("all", "0 of 2"),
            ("1/2", "running"),
            ("all", "1 of 2"),
        ] {
            board.set(&mut console, id, text).unwrap();
        }
        out.text()
    }

    #[test]
    fn elsewhere_only_changes_are_written() {
        assert_eq!(play(false), "all: 0 of 2\n1/2: running\nall: 1 of 2\n");
    }

    #[test]
    fn a_terminal_is_drawn_over() {
        let picture = play(true);
        assert!(
            picture.ends_with("\x1b[2A\r\x1b[2Kall: 1 of 2\n\r\x1b[2K1/2: running\n"),
            "{picture:?}"
        );
        assert_eq!(picture.matches("\x1b[2A").count(), 2);
    }

    #[test]
    fn bars() {
        assert_eq!(
            (bar(0, 9, 6), bar(3, 9, 6), bar(9, 9, 6), bar(1, 0, 2)),
            (
                "[>     ]".into(),
                "[==>   ]".into(),
                "[======]".into(),
                "[> ]".into()
            )
        );
    }
}
