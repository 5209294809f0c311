//! A backup by the command line: made, looked at, damaged, restored.

use super::controller::{Controller, SHOP, expect};

fn with_passphrase(command: &[&'static str]) -> Vec<&'static str> {
    [command, &["--passphrase-file", "passphrase"]].concat()
}

#[test]
fn a_backup_is_verified_and_restored() {
    let mut controller = Controller::start();
    expect(&controller.coax_with(&["apply", "-f", "-"], SHOP), 0);
    let export = controller.coax(&["export"]).stdout;
    controller.file("passphrase", "correct horse battery staple\n");
    let create = with_passphrase(&["backup", "create", "coax.backup"]);
    expect(&controller.coax(&create), 0);
    let verified = controller.coax(&["backup", "verify", "coax.backup", "-o", "json"]);
    expect(&verified, 0);
    let contents: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    let facts = (&contents["ports"], &contents["decrypted"]);
    assert_eq!(facts, (&3.into(), &false.into()));
    let decrypt = with_passphrase(&["backup", "verify", "coax.backup"]);
    expect(&controller.coax(&decrypt), 0);
    what_is_wrong_is_named(&controller);

    // The machine is lost; another one takes over.
    controller.kill();
    std::fs::remove_dir_all(controller.path("state")).unwrap();
    let restore = with_passphrase(&["backup", "restore", "coax.backup", "--state", "state"]);
    expect(&controller.coax(&restore), 0);
    controller.restart();
    assert_eq!(controller.coax(&["export"]).stdout, export);
}

fn what_is_wrong_is_named(controller: &Controller) {
    let whole = std::fs::read(controller.path("coax.backup")).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 4;
    std::fs::write(controller.path("damaged"), &damaged).unwrap();
    std::fs::write(controller.path("cut"), &whole[..whole.len() - 1]).unwrap();
    controller.file("wrong", "another horse battery staple");
    let verify = |more: &[&'static str]| [&["backup", "verify"], more].concat();
    for (command, code) in [
        (verify(&["damaged"]), "backup-damaged"),
        (verify(&["cut"]), "backup-damaged"),
        (verify(&["passphrase"]), "not-a-backup"),
        (
            verify(&["coax.backup", "--passphrase-file", "wrong"]),
            "wrong-passphrase",
        ),
        (verify(&["coax.backup", "--decrypt"]), "no-answer"),
        (
            with_passphrase(&["backup", "restore", "coax.backup", "--state", "state"]),
            "deployment-exists",
        ),
    ] {
        let run = controller.coax(&command);
        expect(&run, 1);
        let named = run.stderr.contains(&format!("error[{code}]"));
        assert!(named, "{}", run.transcript());
    }
}
