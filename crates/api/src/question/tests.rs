//! Questions and answers as agents of another version read them.

use super::*;

#[test]
fn frames_travel_as_hexadecimal_digits() {
    let entering = Entering {
        port: None,
        frame: vec![0, 0x7f, 0xff],
    };
    let json = serde_json::to_string(&entering).unwrap();
    assert_eq!(json, r#"{"port":null,"frame":"007fff"}"#);
    assert_eq!(serde_json::from_str::<Entering>(&json).unwrap(), entering);
    for wrong in ["007ff", "zz", "é"] {
        let json = format!(r#"{{"port":null,"frame":"{wrong}"}}"#);
        assert!(serde_json::from_str::<Entering>(&json).is_err(), "{wrong}");
    }
}

#[test]
fn questions_come_back_as_they_were_asked() {
    let question = HostQuestion::Watch {
        markers: vec![*b"coaxtrac"],
        milliseconds: 300,
    };
    let json = serde_json::to_string(&question).unwrap();
    assert_eq!(
        serde_json::from_str::<HostQuestion>(&json).unwrap(),
        question
    );
}
