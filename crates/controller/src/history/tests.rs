//! Records in pieces, and which of them go.

use coax_api::Action;

use super::*;

fn record(id: u64, size: usize) -> Record {
    let head = Head {
        author: "somebody".into(),
        reason: String::new(),
        time: 0,
        deed: Deed::Apply,
        project: Some("shop".parse().unwrap()),
        counts: [1, 0, 0],
        back_to: None,
        repeat: None,
        pieces: 0,
    };
    let changes = vec![PlannedChange {
        action: Action::Create,
        kind: "port".into(),
        name: "web-1".into(),
        detail: "x".repeat(size),
    }];
    let undo = Vec::new();
    Record::new(RecordId(id), head, &Body { changes, undo })
}

#[test]
fn records_survive_being_cut_into_pieces() {
    for size in [0, PIECE - 90, PIECE, 3 * PIECE] {
        let record = record(7, size);
        let mut assembly = Assembly::default();
        for operation in record.puts() {
            let Operation::Put { key, value } = operation else {
                panic!("a record is stored by puts");
            };
            assert!(value.len() <= PIECE);
            let key = String::from_utf8(key).unwrap();
            match (key.strip_prefix(HEADS), key.strip_prefix(BODIES)) {
                (Some(rest), _) => assembly.head(rest, &value, 9).unwrap(),
                (_, Some(rest)) => assembly.piece(rest, &value).unwrap(),
                _ => panic!("{key}"),
            }
        }
        let records = assembly.records().unwrap();
        assert_eq!(records, [(9, record.clone())]);
        assert_eq!(record.puts().count(), record.deletes().count());
    }
}

#[test]
fn the_oldest_go_unless_they_are_needed() {
    let limits = Limits {
        records: 3,
        bytes: 10_000,
    };
    let mut history = History::default();
    for id in 1..=3 {
        history.add(id * 10, record(id, 0));
    }
    let overdue = |history: &History, new: &Record, needed| {
        let overdue = history.overdue(limits, new, needed);
        overdue.map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(overdue(&history, &record(4, 0), None), [1]);
    assert_eq!(overdue(&history, &record(4, 9_800), None), [1, 2]);
    assert_eq!(overdue(&history, &record(4, 20_000), None), [1, 2, 3]);
    assert_eq!(overdue(&history, &record(4, 20_000), Some(20)), [1]);

    assert_eq!(history.since(1).unwrap().count(), 3);
    history.forget(RecordId(1));
    assert!(history.since(1).is_none(), "what was at 1 is not known");
    assert_eq!(history.since(2).unwrap().count(), 2);
    assert_eq!(history.since(20).unwrap().count(), 1);
}
