//! Rows of the journal.

use super::fakes::task;
use crate::worker::{JournalRecord, TaskRecord};
use crate::{decode_row, encode_record, task_key};
use model::task::ContainerStatus;
use model::{DesiredState, TaskState, TaskStatus, Timestamp};

fn record() -> JournalRecord {
    let mut status = TaskStatus::new(TaskState::Failed, Timestamp(7), "started");
    status.error = "task: non-zero exit (1)".into();
    status.container = Some(ContainerStatus {
        id: "c0ffee".into(),
        pid: 0,
        exit_code: 1,
    });
    JournalRecord::Task(Box::new(TaskRecord {
        task: task("a", DesiredState::Shutdown),
        listed: false,
        status,
    }))
}

#[test]
fn rows_hold_what_records_say() {
    for record in [record(), JournalRecord::Index(1 << 40)] {
        let (key, value) = encode_record(&record);
        assert_eq!(decode_row(&key, &value).unwrap(), record);
    }
    assert_eq!(encode_record(&record()).0, task_key(&"a".into()));
}

#[test]
fn a_damaged_row_is_an_error() {
    let (key, value) = encode_record(&record());
    for length in [0, 1, 5, 6, 20] {
        assert!(
            decode_row(&key, &value[..length]).is_err(),
            "{length} bytes"
        );
    }
    let mut newer = value.clone();
    newer[0] = 2;
    assert!(decode_row(&key, &newer).is_err());
    assert!(decode_row(b"index", b"short").is_err());
    assert!(decode_row(b"other", &value).is_err());
}
