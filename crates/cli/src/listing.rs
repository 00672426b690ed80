//! Lists: tables, JSON lines, or a template of the user's.

use crate::error::Result;
use crate::session::Session;
use crate::table::align;
use crate::template::{Missing, Template, unescape};
use serde_json::{Map, Value};

/// The fields of one line, under the names that templates know.
pub type Row = Map<String, Value>;

/// What a kind of list looks like.
#[derive(Debug)]
pub struct Layout {
    /// Each field with its heading.
    pub headings: &'static [(&'static str, &'static str)],
    /// The table when no format is asked for.
    pub table: &'static str,
}

/// How the user wants a list.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Format {
    /// Format the output: 'table', 'table TEMPLATE', 'json', or a Go TEMPLATE such as '{{.ID}}: {{.Name}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Only display IDs
    #[arg(short, long)]
    pub quiet: bool,
}

impl Format {
    /// The template, and whether it is that of a table. `None` stands for JSON.
    fn choose(&self, layout: &Layout) -> (bool, Option<String>) {
        let plain = |text: &str| unescape(text.trim());
        match self
            .format
            .as_deref()
            .map(str::trim)
            .filter(|format| !format.is_empty())
        {
            None | Some("table") if self.quiet => (false, Some("{{.ID}}".to_owned())),
            None | Some("table") => (true, Some(plain(layout.table))),
            Some("json") => (false, None),
            Some(format) => match format.strip_prefix("table ") {
                Some(template) => (true, Some(plain(template))),
                None => (false, Some(plain(format))),
            },
        }
    }

    /// Whether the list is a table, so that rows may be indented.
    pub fn is_table(&self) -> bool {
        !self.quiet
            && self
                .format
                .as_deref()
                .is_none_or(|format| format.trim() == "table" || format.starts_with("table "))
    }

    /// The rows as the user wants them.
    pub fn render(&self, layout: &Layout, rows: Vec<Row>) -> Result<String> {
        let (is_table, template) = self.choose(layout);
        let Some(template) = template else {
            return Ok(rows.into_iter().map(json_line).collect());
        };
        let template = Template::parse(&template)?;
        let mut text = String::new();
        if is_table {
            let headings = layout
                .headings
                .iter()
                .map(|(field, heading)| ((*field).to_owned(), Value::from(*heading)))
                .collect();
            text.push_str(&template.render_headings(&Value::Object(headings))?);
            text.push('\n');
        }
        for row in rows {
            // A value with line feeds would tear a table apart.
            let line = template.render(&Value::Object(row), Missing::Error)?;
            text.push_str(&if is_table {
                line.replace('\n', " ")
            } else {
                line
            });
            text.push('\n');
        }
        Ok(if is_table { align(&text) } else { text })
    }

    /// Writes the list.
    pub fn write(&self, session: &mut Session, layout: &Layout, rows: Vec<Row>) -> Result<()> {
        let text = self.render(layout, rows)?;
        session.console.write(text.as_bytes())
    }
}

/// `Label` is a function of templates, not a field. Go writes what HTML knows as numbers.
fn json_line(mut row: Row) -> String {
    row.remove("Label");
    let json = Value::Object(row).to_string();
    let json = json
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026");
    json + "\n"
}

/// Builds a row: `row([("ID", id.into())])`.
pub fn row<const N: usize>(fields: [(&str, Value); N]) -> Row {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// Compares names so that `web.2` comes before `web.10`.
pub fn natural_order(a: &str, b: &str) -> std::cmp::Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let (Some(x), Some(y)) = (left.chars().next(), right.chars().next()) else {
            return left.len().cmp(&right.len()).then_with(|| a.cmp(b));
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (number_left, rest_left) = leading_number(left);
            let (number_right, rest_right) = leading_number(right);
            let order = number_left
                .len()
                .cmp(&number_right.len())
                .then_with(|| number_left.cmp(number_right));
            if order.is_ne() {
                return order;
            }
            (left, right) = (rest_left, rest_right);
        } else if x != y {
            return x.cmp(&y);
        } else {
            (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
        }
    }
}

fn leading_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number.trim_start_matches('0'), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout {
        headings: &[("ID", "ID"), ("Name", "NAME"), ("Self", ""), ("Label", "")],
        table: r"{{.ID}}{{if .Self}} *{{end}}\t{{.Name}}",
    };

    fn check(format: Option<&str>, quiet: bool, expected: &str) {
        let rows = vec![
            row([
                ("ID", "a".into()),
                ("Name", "web".into()),
                ("Self", true.into()),
                ("Label", serde_json::json!({"k": "v"})),
            ]),
            row([
                ("ID", "b".into()),
                ("Name", "db".into()),
                ("Self", false.into()),
                ("Label", serde_json::json!({})),
            ]),
        ];
        let format = Format {
            format: format.map(str::to_owned),
            quiet,
        };
        assert_eq!(format.render(&LAYOUT, rows).unwrap(), expected);
    }

    #[test]
    fn formats() {
        check(None, false, "ID        NAME\na *       web\nb         db\n");
        check(Some("table"), true, "a\nb\n");
        check(
            Some("json"),
            false,
            "{\"ID\":\"a\",\"Name\":\"web\",\"Self\":true}\n{\"ID\":\"b\",\"Name\":\"db\",\"Self\":false}\n",
        );
        check(Some("{{.Name}}"), false, "web\ndb\n");
        check(Some(r#"{{.ID}}\t{{.Label "k"}}"#), false, "a\tv\nb\t\n");
        check(
            Some(r"table {{.Name}}\t{{.ID}}"),
            false,
            "NAME      ID\nweb       a\ndb        b\n",
        );
        assert!(
            Format {
                format: Some("{{.Nmae}}".into()),
                quiet: false
            }
            .render(&LAYOUT, vec![row([("ID", "a".into())])])
            .is_err()
        );
    }

    #[test]
    fn json_is_safe_in_html() {
        let line = json_line(row([("Ports", "*:80->80/tcp & <x>".into())]));
        assert_eq!(
            line,
            "{\"Ports\":\"*:80-\\u003e80/tcp \\u0026 \\u003cx\\u003e\"}\n"
        );
    }

    #[test]
    fn order_of_names() {
        let mut names = ["web.10", "web.2", "db", "web.2a", "web"];
        names.sort_by(|a, b| natural_order(a, b));
        assert_eq!(names, ["db", "web", "web.2", "web.2a", "web.10"]);
    }
}
