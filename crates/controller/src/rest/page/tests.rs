//! The page, read by somebody else's parser.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// Another's parser: takes only what is well-formed, and compares what it finds with the document.
const READER: &str = "
import json, sys, xml.etree.ElementTree as tree
page, document = sys.stdin.read().split('\\0')
root = tree.fromstring(page)
document = json.loads(document)
ids = [e.get('id') for e in root.iter() if e.get('id')]
assert len(ids) == len(set(ids)), 'an id twice'
for e in root.iter('{http://www.w3.org/1999/xhtml}a'):
    target = e.get('href')
    assert not target.startswith('#') or target[1:] in ids, target
whole = ''.join(root.itertext())
asked = [(m.upper() + ' ' + p, o) for p, ms in document['paths'].items() for m, o in ms.items()]
for line, operation in asked:
    assert line + '\\n' in whole, line
    assert operation['operationId'] in ids, line
for name in document['components']['schemas']:
    assert 'object-' + name in ids, name
print(len(asked))
";

#[test]
fn the_page_holds_every_operation_and_every_object() {
    let document = serde_json::to_value(openapi::document()).unwrap();
    let mut reader = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!("{}\0{document}", page(&document));
    let mut stdin = reader.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let operations = String::from_utf8(output.stdout).unwrap();
    assert!(operations.trim().parse::<usize>().unwrap() > 50);
    assert!(
        !page(&document).contains("For nobody"),
        "each has its line in the table"
    );
}

#[test]
fn text_stays_text() {
    assert_eq!(
        marked("a `<b>` & \"c\""),
        "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;"
    );
}
