//! The JSON of every command that shows something is what the published description of the interface says, in a lab that has
//! everything: another validator judges it, and a key that is not described is an error.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Traces;

/// Commands, with the schema of their answer; `[]` behind its name: a list of such.
const SHOWN: &[(&str, &str)] = &[
    ("token create reader --role viewer", "IssuedToken"),
    ("address-group list", "AddressGroup[]"),
    ("address-group show maze/near", "AddressGroup"),
    ("apply -f {maze}", "Plan[]"),
    ("audit list", "AuditEntry[]"),
    ("audit verify", "AuditVerdict"),
    ("authority show", "AuthorityStatus"),
    ("check maze", "CheckResult[]"),
    ("conntrack flush --address 10.60.1.99", "Flushed"),
    ("conntrack list", "Connection[]"),
    ("counters", "Counters"),
    ("doctor", "Findings"),
    ("drops", "Drops"),
    ("events --last 50", "Event[]"),
    ("firewall audit maze", "FirewallAudit"),
    ("firewall list", "Firewall[]"),
    ("firewall rules", "FirewallRule[]"),
    ("firewall show maze", "Firewall"),
    ("firewall suggest maze", "Suggestions"),
    ("flows --last 50", "Flow[]"),
    ("group list", "Group[]"),
    ("group show maze/red", "Group"),
    ("history", "Revision[]"),
    ("host invite hv9", "Invitation"),
    ("host list", "Host[]"),
    ("host show hv1", "Host"),
    ("invitation list", "ListedInvitation[]"),
    ("network blast-radius maze/red", "BlastRadius"),
    ("network list", "Network[]"),
    ("network show maze/red", "Network"),
    ("port list", "Port[]"),
    ("port show maze/red-1", "Port"),
    ("project list", "Project[]"),
    ("project show maze", "Project"),
    ("router list", "Router[]"),
    ("router show maze/gw", "Router"),
    ("status", "Status"),
    ("subnet list", "Subnet[]"),
    ("token list", "Token[]"),
    ("trace maze/red-1 maze/blue-2 tcp/7001 --inject", "Trace"),
    ("vtep list", "Vtep[]"),
];

/// The schema for a list of the name, in which nothing else is allowed than what is described.
fn schema(document: &Value, name: &str) -> Value {
    let mut schemas = document["components"]["schemas"].clone();
    // What is only a part of others has more beside it.
    let parts: Vec<String> = (schemas.as_object().unwrap().values())
        .flat_map(|schema| schema["allOf"].as_array().into_iter().flatten())
        .filter_map(|part| Some(part["$ref"].as_str()?.rsplit('/').next()?.to_owned()))
        .collect();
    for (name, schema) in schemas.as_object_mut().unwrap() {
        let has = |key: &str| schema.get(key).is_some();
        if (has("properties") || has("allOf")) && !parts.contains(name) {
            schema["unevaluatedProperties"] = false.into();
        }
    }
    let one = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let mut schema = match name.strip_suffix("[]") {
        Some(name) => json!({ "type": "array", "items": one(name), "minItems": 1 }),
        None => one(name),
    };
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    schema["components"] = json!({ "schemas": schemas });
    schema
}

/// What another program finds wrong.
fn faults(schema: &Value, value: &Value) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/schema.py");
    let mut judge = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({ "schema": schema, "values": [value] }).to_string();
    judge
        .stdin
        .take()
        .unwrap()
        .write_all(asked.as_bytes())
        .unwrap();
    let output = judge.wait_with_output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    found[0].clone()
}

/// All of them, and of those that list something there is something.
pub fn are_described(lab: &Traces, maze: &str) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/openapi.json"
    );
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let described = |(command, name): &(&str, &str)| {
        let command = command.replace("{maze}", maze);
        let words: Vec<&str> = command.split(' ').chain(["-o", "json"]).collect();
        let output = lab.0.run(&words);
        let errors = String::from_utf8_lossy(&output.stderr);
        let value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("coax {command}: {error}\n{errors}"));
        let faults = faults(&schema(&document, name), &value);
        (faults != json!([])).then(|| format!("coax {command}: {faults:#}"))
    };
    let wrong: Vec<String> = SHOWN
        .chunks(5)
        .flat_map(|some| super::agreement::side_by_side(some.to_vec(), |it| described(&it)))
        .flatten()
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A judge that finds nothing wrong with anything is none.
    let other = schema(&document, "Network[]");
    assert_ne!(faults(&other, &json!([{ "name": 7 }])), json!([]));
}
