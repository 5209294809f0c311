//! The embedded store loses power between any two writes: a change and its entry of the audit log are both there, or neither is.

use std::time::{Duration, Instant, SystemTime};

use coax_controller::audit::{AuditError, AuditLog};
use coax_controller::core::Core;
use coax_controller::core::message::{Command, Input, Request, RequestId, Stored, Write};
use coax_controller::core::submission::{Clock, Submission};
use coax_controller::records;
use coax_model::StackFile;
use coax_store::{Embedded, Outcome, StoreError, Transaction};

use crate::disk::Disk;
use crate::world::UNDERLAY_MTU;
use crate::world::check::check_audit_log;

fn start(store: &Embedded, now: Instant) -> Core {
    let generation = records::generation(store).unwrap();
    let loaded = records::load(store, UNDERLAY_MTU).unwrap();
    Core::new(
        generation,
        1,
        loaded,
        Clock::new(SystemTime::UNIX_EPOCH, now),
    )
}

/// A project with a network of its own.
fn create(project: u32) -> Request {
    let yaml =
        format!("version: 1\nproject: p{project}\nnetworks:\n  n: {{ subnets: [10.0.0.0/24] }}\n");
    let write = Write::Apply {
        file: Box::new(StackFile::parse(&yaml).unwrap().into()),
        dry_run: false,
    };
    let submission = Submission {
        author: format!("author-{project}"),
        ..Submission::default()
    };
    Request::Write { write, submission }
}

/// Makes projects until the power goes; says how many were acknowledged.
fn create_until_power_loss(store: &Embedded, projects: u32) -> u32 {
    let (now, log) = (Instant::now(), AuditLog::default());
    let mut core = start(store, now);
    for project in 0..projects {
        let id = RequestId(project.into());
        let request = create(project);
        for command in core.handle(Input::Request { id, request }, now) {
            let Command::Commit {
                number,
                transaction,
                entry,
            } = command
            else {
                continue;
            };
            let outcome = match log.append(store, &transaction, &entry.unwrap()) {
                Ok(Outcome::Done(revision)) => Stored::Done(revision),
                Err(AuditError::Store(StoreError::Database(_) | StoreError::Unsettled { .. })) => {
                    return project;
                }
                other => panic!("{other:?}"),
            };
            core.handle(Input::Stored { number, outcome }, now);
        }
        // A refused request between two changes is in the same chain.
        if log
            .append(store, &Transaction::new(), &Default::default())
            .is_err()
        {
            return project + 1;
        }
    }
    projects
}

#[test]
fn a_change_and_its_entry_survive_the_loss_of_power_together() {
    const PROJECTS: u32 = 4;
    let disk = Disk::with(Vec::new(), None);
    drop(start(
        &Embedded::open_backend(disk.clone()).unwrap(),
        Instant::now(),
    ));
    let base = disk.after_power_loss(0);
    let mut interrupted = 0;
    for left in (0..1000).step_by(3) {
        let disk = Disk::with(base.clone(), Some(left));
        let acknowledged = match Embedded::open_backend(disk.clone()) {
            Ok(store) => create_until_power_loss(&store, PROJECTS),
            Err(_) => 0,
        };
        for seed in 0..2 {
            let image = Disk::with(disk.after_power_loss(seed), None);
            let store = Embedded::open_backend(image).unwrap();
            let core = start(&store, Instant::now() + Duration::from_secs(1));
            let found = u32::try_from(core.revisions(None).count()).unwrap();
            assert!(
                (acknowledged..=acknowledged + 1).contains(&found),
                "{acknowledged} acknowledged, {found} found"
            );
            check_audit_log(&store, &core);
        }
        if acknowledged == PROJECTS {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 20, "power was lost only {interrupted} times");
}
