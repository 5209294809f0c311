//! What each role may do, asked of a running controller: every route of the document with every role,
//! and one project's admin against another project.

use std::collections::BTreeSet;

use coax_api::{Client, Endpoint, Role, StackOptions, TokenRequest};
use coax_controller::{Caller, TABLE};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::controller::Controller;

fn stack(project: &str) -> Value {
    json!({
        "version": 1, "project": project,
        "networks": { "web": { "subnets": ["10.10.1.0/24"] } },
        "ports": { "web-1": { "network": "web" } },
        "groups": { "all": { "ports": ["web-1"] } },
        "firewall": { "default": "deny", "rules": [
            { "name": "in", "from": "any", "to": "group/all", "allow": ["tcp/443"] },
        ] },
    })
}

async fn apply(controller: &Controller, project: &str) {
    let (options, file) = (StackOptions::default(), stack(project));
    let applied = controller.client.put_stack(project, &file, &options);
    applied.await.unwrap();
}

async fn token(controller: &Controller, name: &str, role: Role, project: Option<&str>) -> String {
    let request = TokenRequest {
        name: name.into(),
        role,
        project: project.map(str::to_owned),
        expires_in: Some("1h".into()),
    };
    controller
        .client
        .create_token(&request)
        .await
        .unwrap()
        .token
}

/// Status and body of a request.
async fn ask(
    controller: &Controller,
    token: &str,
    method: &str,
    path: &str,
    body: &str,
) -> (u16, String) {
    let Endpoint::Unix(socket) = controller.client.endpoint() else {
        panic!("the tests' controllers listen on Unix sockets");
    };
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: coax\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

/// A path that exists, as far as names go.
fn filled(path: &str, project: &str) -> String {
    path.replace("{project}", project)
        .replace("{name}", "web-1")
        .replace("{revision}", "0")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_with_every_role_is_as_the_table_says() {
    let controller = Controller::start().await;
    apply(&controller, "shop").await;
    let mut asked = 0;
    for role in Role::ALL {
        let scopes: &[Option<&str>] = match role {
            Role::NetworkTeam => &[None],
            _ => &[None, Some("shop"), Some("lab")],
        };
        for scope in scopes {
            let name = format!("{}-{}", role.name(), scope.unwrap_or("everywhere"));
            let token = token(&controller, &name, role, *scope).await;
            let caller = Caller {
                name,
                role,
                project: scope.map(|project| project.parse().unwrap()),
            };
            for line in TABLE {
                for project in ["shop", "rails"] {
                    if project == "rails" && !line.path.contains("{project}") {
                        continue;
                    }
                    let path = filled(line.path, project);
                    let allowed = caller.is_allowed(line, Some(&project.parse().unwrap()));
                    // An empty body is no file and no request: what is allowed fails after that.
                    let (status, body) = ask(&controller, &token, line.method, &path, "").await;
                    let let_in = !matches!(status, 401 | 403);
                    assert_eq!(
                        let_in, allowed,
                        "{caller:?} {} {path}: {status} {body}",
                        line.method
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 600, "{asked}");
    let series = controller.client.metrics().await.unwrap();
    assert!(
        series.contains("coax_api_refused_total{outcome=\"denied\"}"),
        "{series}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_can_neither_see_nor_change_another() {
    let controller = Controller::start().await;
    apply(&controller, "shop").await;
    apply(&controller, "lab").await;
    let admin = token(&controller, "shop-admin", Role::Admin, Some("shop")).await;
    token(&controller, "lab-admin", Role::Admin, Some("lab")).await;
    let file = stack("lab").to_string();
    for line in TABLE {
        if line.path.contains("{project}") {
            // What exists and what does not is answered alike.
            let mut answers = BTreeSet::new();
            for project in ["lab", "nobody"] {
                let path = filled(line.path, project);
                let (status, body) = ask(&controller, &admin, line.method, &path, &file).await;
                assert_eq!(status, 403, "{} {path}", line.method);
                answers.insert(body);
            }
            assert_eq!(answers.len(), 1, "{answers:?}");
        } else if line.method == "GET" && line.path != "/openapi.json" {
            let (_, body) = ask(&controller, &admin, "GET", &filled(line.path, ""), "").await;
            let hidden = !body.contains("\"lab\"") && !body.contains("lab/");
            assert!(hidden, "{}: {body}", line.path);
            let path = format!("{}?project=lab", filled(line.path, ""));
            let (_, body) = ask(&controller, &admin, "GET", &path, "").await;
            assert!(!body.contains("lab/"), "{path}: {body}");
        }
    }
    let wanted = [
        (
            "POST",
            "/v1/traces",
            r#"{"from":"lab/web-1","to":"shop/web-1"}"#,
        ),
        (
            "POST",
            "/v1/traces",
            r#"{"from":"shop/web-1","to":"10.10.1.1"}"#,
        ),
        ("GET", "/v1/captures?port=lab/web-1&time=1s", ""),
        (
            "POST",
            "/v1/tokens",
            r#"{"name":"x","role":"viewer","project":"lab"}"#,
        ),
        ("POST", "/v1/tokens", r#"{"name":"x","role":"admin"}"#),
    ];
    for (method, path, body) in wanted {
        let (status, body) = ask(&controller, &admin, method, path, body).await;
        assert_eq!(status, 403, "{method} {path}: {body}");
    }
    let (status, _) = ask(&controller, &admin, "DELETE", "/v1/tokens/lab-admin", "").await;
    assert_eq!(status, 404);
    // His own project is his.
    let (status, body) = ask(&controller, &admin, "GET", "/v1/ports", "").await;
    assert!(status == 200 && body.contains("shop/web-1"), "{body}");
    let own = stack("shop").to_string();
    let (status, body) = ask(&controller, &admin, "PUT", "/v1/stacks/shop", &own).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(controller.client.projects().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_over_tls_with_a_token_and_with_nothing_else() {
    let controller = Controller::start().await;
    apply(&controller, "shop").await;
    let viewer = token(&controller, "viewer", Role::Viewer, None).await;
    let remote = controller.addresses.users.unwrap();
    let endpoint: Endpoint = format!("https://{remote}").parse().unwrap();
    let client = Client::new(endpoint.clone()).with_token(viewer.parse().unwrap());
    assert_eq!(client.ports(None).await.unwrap().len(), 1);
    let options = StackOptions::default();
    let refused = client.delete_stack("shop", &options).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 403);
    // The same token in the hands of nobody.
    controller.client.delete_token("viewer").await.unwrap();
    let refused = client.ports(None).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().status, 401);
    // Without a token there is no authority to trust, so nothing is sent at all.
    assert!(
        Client::new(endpoint)
            .ports(None)
            .await
            .unwrap_err()
            .problem()
            .is_none()
    );
    let (status, _) = ask(&controller, "coax-token-AAAA", "GET", "/v1/ports", "").await;
    assert_eq!(status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_every_refused_one_is_in_a_log_that_holds_together() {
    let controller = Controller::start().await;
    apply(&controller, "shop").await;
    let viewer = token(&controller, "viewer", Role::Viewer, None).await;
    let (status, _) = ask(&controller, &viewer, "DELETE", "/v1/stacks/shop", "").await;
    assert_eq!(status, 403);
    let dry = StackOptions {
        dry_run: true,
        ..StackOptions::default()
    };
    controller.client.delete_stack("shop", &dry).await.unwrap();
    controller.client.ports(None).await.unwrap();
    let log = controller.client.audit_log(10).await.unwrap();
    let shown: Vec<(&str, &str, u16)> = log
        .iter()
        .map(|entry| (entry.who.as_str(), entry.path.as_str(), entry.status))
        .collect();
    assert_eq!(
        shown,
        [
            ("root", "/v1/stacks/shop", 200),
            ("root", "/v1/tokens", 200),
            ("viewer", "/v1/stacks/shop", 403),
        ]
    );
    assert!(
        log[0].revision.is_some() && !log[0].changes.is_empty(),
        "{log:?}"
    );
    assert!(
        !format!("{log:?}").contains(&viewer[20..]),
        "a secret is in the log"
    );
    let verdict = controller.client.verify_audit_log().await.unwrap();
    assert_eq!((verdict.entries, verdict.broken_at), (3, None));
    assert_eq!(verdict.last_hash, log[2].hash);
}
