//! A bug report holds no secret, wherever one is, and answers as the controller did.

use std::io::Read;
use std::path::Path;

use super::answers::answers;
use super::support::{FixedApi, Run, run};

/// Secrets of every kind, each somewhere else.
const SECRETS: [&str; 11] = [
    "coax-token-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "coax-join-BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg",
    "hunter2-in-a-file",
    "hunter3-in-a-url",
    "hunter4-in-an-answer",
    "eyJhbGciOi.bearer.x",
    "hunter5-in-the-metrics",
    "horse battery hunter6",
    "hunter7-in-a-block",
    "coax-join-controller-CCCCCCCCCCCCCCCCCCCCCCCC",
];

fn pem(newline: &str) -> String {
    format!(
        "-----BEGIN PRIVATE KEY-----{newline}{}{newline}-----END PRIVATE KEY-----{newline}",
        SECRETS[2]
    )
}

/// The system of the other tests, in which somebody has put secrets where none belong.
fn with_secrets(request: &str) -> (u16, String) {
    let path = request
        .trim_start_matches("GET ")
        .split('?')
        .next()
        .unwrap();
    let text = match path {
        "/v1/audit-log" => serde_json::json!([
            { "what": format!("POST /v1/tokens made {}", SECRETS[0]), "passphrase": SECRETS[5] },
            { "what": format!("curl -H 'Authorization: Bearer {}'", SECRETS[6]), "key": pem("\n") },
        ]),
        "/v1/audit-log/verify" => serde_json::json!({ "entries": 2 }),
        "/v1/revisions" => serde_json::json!([]),
        "/v1/checks" => serde_json::json!([]),
        "/v1/findings" => serde_json::json!({
            "findings": [], "hosts": [], "paths": 0,
            "missing": [
                { "host": "hv8", "reason": format!("coax init --join {}", SECRETS[10]) },
                { "host": "hv9", "reason": format!("joined with {}", SECRETS[1]) },
            ],
        }),
        "/metrics" => {
            let text = format!("# HELP x password={}\n# EOF\n", SECRETS[7]);
            return (200, text);
        }
        _ => return answers(request),
    };
    (200, text.to_string())
}

/// Every file of an archive.
fn unpacked(archive: &Path) -> Vec<(String, String)> {
    let file = std::fs::File::open(archive).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (entry.path().unwrap().display().to_string(), text)
        })
        .collect()
}

/// A report of a system full of secrets, and where it is.
struct Report {
    api: FixedApi,
    folder: tempfile::TempDir,
    path: String,
}

impl Report {
    fn made() -> Self {
        let api = FixedApi::start(with_secrets);
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "state: /var/lib/coax\ntoken: {}\nauthority: |\n{}etcd: https://root:{}@192.0.2.1:2379\netcd-password: \"{}\"\n# the passphrase: correct {}\npassword: |\n  {}\nlast: one\n",
            SECRETS[1],
            pem("\n"),
            SECRETS[4],
            SECRETS[3],
            SECRETS[8],
            SECRETS[9]
        );
        std::fs::write(folder.path().join("controller.yaml"), config).unwrap();
        // What is not configuration is not looked at.
        std::fs::write(folder.path().join("key.pem"), pem("\n")).unwrap();
        let path = folder.path().join("report.tar.gz").display().to_string();
        let config = folder.path().to_str().unwrap();
        let made = api.coax(&["bugreport", &path, "--config", config]);
        assert_eq!(made.stdout.trim(), path, "{}", made.stderr);
        Self { api, folder, path }
    }

    /// What a command says with nobody to ask but the report.
    fn asked(&self, command: &[&str]) -> Run {
        let offline = [&["--from-bundle", &self.path], command].concat();
        run(&offline, None, self.folder.path(), "")
    }
}

#[test]
fn a_bug_report_holds_no_secret() {
    let report = Report::made();
    let files = unpacked(Path::new(&report.path));
    let text = |name: &str| {
        let found = files.iter().find(|(path, _)| path.ends_with(name));
        &found.unwrap_or_else(|| panic!("no {name} in {files:#?}")).1
    };
    for (path, text) in &files {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{path} holds {secret}");
        }
        assert!(!text.contains("PRIVATE KEY"), "{path}: {text}");
    }
    // They were there to be taken out, and what is beside them is still there.
    let config = text("config/controller.yaml");
    assert!(
        config.contains("etcd: https://[removed]@192.0.2.1:2379"),
        "{config}"
    );
    assert!(config.contains("state: /var/lib/coax"), "{config}");
    assert!(config.contains("last: one"), "{config}");
    assert!(text("api/v1/audit-log.json").contains("made coax-token-[removed]"));
    assert!(text("api/v1/findings.json").contains("coax-join-[removed]"));
    assert!(text("metrics.txt").contains("# EOF"));
    assert!(text("host/kernel-version").contains("Linux"));
    assert!(text("manifest.json").contains("/v1/default-quota"));
}

#[test]
fn a_bug_report_answers_as_the_controller_did() {
    let report = Report::made();
    for question in [
        &["status"][..],
        &["host", "list"],
        &["host", "show", "hv2"],
        &["port", "list", "-o", "wide"],
        &["port", "show", "web-1", "-o", "json"],
        &["network", "list", "-o", "wide"],
        &["drops"],
        &["counters", "-o", "yaml"],
        &["history"],
    ] {
        let asked = report.api.coax(question);
        let answered = report.asked(question);
        assert_eq!(answered.transcript(), asked.transcript(), "{question:?}");
    }
    for (refused, code) in [
        (
            &["port", "move", "shop/web-1", "hv2"][..],
            "bundle-changes-nothing",
        ),
        (&["flows"], "not-in-bundle"),
        (&["lab", "list"], "not-in-bundle"),
        (&["network", "blast-radius", "shop/web"], "not-in-bundle"),
        (&["doctor", "hv1"], "not-in-bundle"),
        (&["port", "show", "shop/web-9"], "no-such-port"),
    ] {
        let answered = report.asked(refused);
        assert_eq!(answered.code, 1, "{refused:?}: {}", answered.transcript());
        let code = format!("error[{code}]");
        assert!(answered.stderr.contains(&code), "{}", answered.stderr);
    }
    let folder = report.folder.path();
    let nothing = run(&["--from-bundle", "missing", "status"], None, folder, "");
    assert!(
        nothing.stderr.contains("error[file-unreadable]"),
        "{}",
        nothing.stderr
    );
}
