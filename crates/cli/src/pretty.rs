//! Sheets for people: `inspect --pretty`.

/// Lines that are written one after the other, some only when there is something to say.
#[derive(Debug, Default)]
pub struct Sheet(String);

impl Sheet {
    /// A line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// A line with a heading, unless the value is empty.
    pub fn field(&mut self, heading: &str, value: impl AsRef<str>) {
        if !value.as_ref().is_empty() {
            self.line(format!("{heading}{}", value.as_ref()));
        }
    }

    /// All of it, without the last line's end.
    pub fn finish(mut self) -> String {
        self.0.pop();
        self.0
    }
}

/// A label: its value behind an equals sign, if it has one.
pub fn pair(name: &str, value: &str) -> String {
    if value.is_empty() {
        name.to_owned()
    } else {
        format!("{name}={value}")
    }
}
