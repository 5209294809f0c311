//! schemathesis beside the interface: requests that the document allows, and others, of every operation.
//! No answer is a failure of the controller, none takes long, and all are as the document says.

use std::path::Path;
use std::time::Duration;

use coax_api::{Role, StackOptions, TokenRequest};
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use super::controller::Controller;

/// Answers that never end, the token that asks, and what is meant to be slow.
const LEFT_OUT: [&str; 5] = [
    "GET /v1/events",
    "GET /v1/flows",
    "GET /v1/captures",
    "DELETE /v1/tokens/{name}",
    "POST /v1/backups",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_says() {
    let controller = Controller::start().await;
    let file = json!({
        "version": 1, "project": "shop",
        "networks": { "web": { "subnets": ["10.10.1.0/24"] } },
        "ports": { "web-1": { "network": "web" }, "web-2": { "network": "web" } },
        "checks": [{ "from": "any", "to": "any", "port": "any", "expect": "allow" }],
    });
    let options = StackOptions::default();
    let applied = controller.client.put_stack("shop", &file, &options);
    applied.await.unwrap();
    let request = TokenRequest {
        name: "judge".into(),
        role: Role::Admin,
        project: None,
        expires_in: Some("1h".into()),
    };
    let token = controller
        .client
        .create_token(&request)
        .await
        .unwrap()
        .token;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/tools/judges/bin/schemathesis");
    assert!(
        program.exists(),
        "`cargo xtask setup` installs schemathesis"
    );
    let mut command = Command::new(program);
    command
        .current_dir(controller.folder())
        .arg("run")
        .arg(root.join("docs/reference/openapi.json"))
        .args(["--url", &format!("https://{}", controller.addresses.users.unwrap())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--tls-verify", "false", "--request-timeout", "10"])
        .args(["--phases", "fuzzing", "--max-examples", "3", "--seed", "1"])
        .args(["--workers", "2", "--no-shrink", "--continue-on-failure"])
        .args(["--warnings", "off", "--no-color", "--checks"])
        .arg("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance")
        .kill_on_drop(true);
    for name in LEFT_OUT {
        command.args(["--exclude-name", name]);
    }
    let output = timeout(Duration::from_secs(120), command.output());
    let output = output.await.expect("it hangs").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("No issues found"), "{said}");
    controller.client.status().await.unwrap();
}
