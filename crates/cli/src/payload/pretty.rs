//! The forms of secrets and configs for people, with the headings that Docker's have.

use crate::image::go_time;
use crate::pretty::Sheet;
use api_types::payload::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

fn read(bytes: &Bytes) -> Result<Secret, api_types::DecodeError> {
    api_types::from_json(bytes)
}

fn labels(sheet: &mut Sheet, item: &Secret) {
    if !item.spec.labels.is_empty() {
        sheet.line("Labels:");
        for (name, value) in &item.spec.labels {
            sheet.line(format!(" - {}", crate::pretty::pair(name, value)));
        }
    }
}

/// A secret, without its content.
pub(super) fn secret(bytes: &Bytes) -> Result<String, api_types::DecodeError> {
    let item = read(bytes)?;
    let driver = item.spec.driver.as_ref().map_or("", |driver| &driver.name);
    let mut sheet = Sheet::default();
    sheet.line(format!("ID:              {}", item.id));
    sheet.line(format!("Name:              {}", item.spec.name));
    labels(&mut sheet, &item);
    sheet.line(format!("Driver:            {driver}"));
    sheet.line(format!("Created at:        {}", go_time(item.created_at)));
    sheet.line(format!("Updated at:        {}", go_time(item.updated_at)));
    Ok(sheet.finish())
}

/// A config with its content.
pub(super) fn config(bytes: &Bytes) -> Result<String, api_types::DecodeError> {
    let item = read(bytes)?;
    let data = STANDARD.decode(&item.spec.data).unwrap_or_default();
    let mut sheet = Sheet::default();
    sheet.line(format!("ID:\t\t\t{}", item.id));
    sheet.line(format!("Name:\t\t\t{}", item.spec.name));
    labels(&mut sheet, &item);
    sheet.line(format!(
        "Created at:            \t{}",
        go_time(item.created_at)
    ));
    sheet.line(format!(
        "Updated at:            \t{}",
        go_time(item.updated_at)
    ));
    sheet.line("Data:");
    sheet.line(String::from_utf8_lossy(&data));
    Ok(sheet.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let bytes = Bytes::from(
            r#"{"ID":"i","CreatedAt":"2026-11-21T10:00:00Z","UpdatedAt":"2026-11-21T10:00:01.5Z","Spec":{"Name":"n","Labels":{"a":"b","c":""},"Data":"aGVsbG8K"}}"#,
        );
        assert_eq!(
            secret(&bytes).unwrap(),
            "ID:              i\nName:              n\nLabels:\n - a=b\n - c\nDriver:            \nCreated at:        2026-11-21 10:00:00 +0000 UTC\nUpdated at:        2026-11-21 10:00:01.5 +0000 UTC"
        );
        assert!(config(&bytes).unwrap().ends_with("Data:\nhello\n"));
    }
}
