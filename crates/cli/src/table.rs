//! Tables with columns as wide as their widest cell, as Docker's are.

/// No column is narrower.
const LEAST_WIDTH: usize = 10;
/// Blanks between columns.
const PADDING: usize = 3;

/// Lines of cells separated by tabs, set in columns. The last cell of a line takes no part in the width of its column, and a
/// column ends where a line has no such cell, as with Go's tabwriter.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let mut widths: Vec<Vec<usize>> = lines
        .iter()
        .map(|cells| vec![0; cells.len().saturating_sub(1)])
        .collect();
    for line in 0..lines.len() {
        for column in 0..widths[line].len() {
            if widths[line][column] != 0 {
                continue;
            }
            let block = lines[line..]
                .iter()
                .take_while(|cells| cells.len() > column + 1)
                .count();
            let widest = lines[line..line + block]
                .iter()
                .map(|cells| width(cells[column]))
                .max()
                .unwrap_or(0);
            for widths in &mut widths[line..line + block] {
                widths[column] = (widest + PADDING).max(LEAST_WIDTH);
            }
        }
    }
    let mut out = String::new();
    for (cells, widths) in lines.iter().zip(&widths) {
        for (index, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(column) = widths.get(index) {
                out.extend(std::iter::repeat_n(' ', column.saturating_sub(width(cell))));
            }
        }
        out.push('\n');
    }
    out
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// At most `width` characters, the last of which is an ellipsis when something was cut.
pub fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// The first twelve characters of an id, without its algorithm.
pub fn short_id(id: &str) -> String {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.chars().take(12).collect()
}

/// The first letter large, the others small.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first
            .to_uppercase()
            .chain(chars.flat_map(char::to_lowercase))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let text = "ID\tNAME\tIMAGE\n123456789012\tweb\tnginx:latest\n2\ta-long-service-name\tx\n";
        let aligned = [
            "ID             NAME                  IMAGE",
            "123456789012   web                   nginx:latest",
            "2              a-long-service-name   x",
            "",
        ];
        assert_eq!(align(text), aligned.join("\n"));
    }

    #[test]
    fn narrow_columns_and_empty_cells() {
        assert_eq!(align("A\tB\n\tx\n"), "A         B\n          x\n");
        assert_eq!(align(""), "");
        assert_eq!(align("one\n"), "one\n");
    }

    #[test]
    fn small_helpers() {
        assert_eq!(ellipsis("abcdef", 4), "abc…");
        assert_eq!(ellipsis("äöü", 3), "äöü");
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(capitalized("RUNNING"), "Running");
        assert_eq!(capitalized(""), "");
    }
}
