//! Deaths in the middle of a renewal, lost keys, and hosts that have not moved.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use coax_api::AuditEntry;
use coax_identity::authority::HOST_LIFETIME;
use coax_identity::file::{self, Readers};
use coax_identity::{Credentials, Enrolment};
use coax_store::{Memory, Store};
use tempfile::TempDir;

use super::super::{Deployment, RenewalError};
use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A controller that dies whenever it is dropped.
fn started(store: &Arc<Memory>, folder: &Path) -> Result<Identities, IdentityError> {
    started_at("192.0.2.1:7450", store, folder)
}

fn started_at(
    address: &str,
    store: &Arc<Memory>,
    folder: &Path,
) -> Result<Identities, IdentityError> {
    let authority = Deployment::open(folder).unwrap().into_authority();
    let identities = Identities::new(store.clone(), authority, HOST_LIFETIME).kept_in(folder);
    let addresses = [address.to_owned()];
    identities.show(&addresses, Vec::new(), now())?;
    Ok(identities)
}

fn deployment() -> (TempDir, Arc<Memory>) {
    let folder = tempfile::tempdir().unwrap();
    Authority::create(now())
        .unwrap()
        .save(folder.path())
        .unwrap();
    (folder, Arc::new(Memory::new()))
}

fn recording() -> Recording {
    Recording::new(AuditEntry::default())
}

fn renew(identities: &Identities) -> Result<(), RenewalError> {
    identities.renew_authority(false, now(), &recording())
}

fn finish(identities: &Identities) -> Result<(), RenewalError> {
    identities.finish_renewal(&[], |_| false, now(), &recording())
}

#[test]
fn a_controller_may_die_at_any_moment_of_a_renewal() {
    let (folder, store) = deployment();
    let (folder, next) = (folder.path(), folder.path().join(NEXT));
    // With the key on disk, and no record: nobody trusts it, and it is taken up.
    let left = Authority::create(now()).unwrap();
    left.save_apart(&next).unwrap();
    let identities = started(&store, folder).unwrap();
    assert!(!identities.custody().is_renewing());
    renew(&identities).unwrap();
    assert_eq!(identities.authority().pin(), left.pin());
    // With both.
    let identities = started(&store, folder).unwrap();
    assert!(identities.custody().is_renewing() && identities.custody().has_newest());
    let files = |folder: &Path| {
        let files = ["authority.key", "authority.pem"];
        files.map(|it| (it, file::read(&folder.join(it)).unwrap()))
    };
    let (old, new) = (files(folder), files(&next));
    finish(&identities).unwrap();
    assert!(!next.exists());
    assert_eq!(files(folder), new);
    // With the record of the end, and with none or half of the files in their new place.
    for written in 0..=2 {
        let _ = std::fs::remove_dir_all(&next);
        left.save_apart(&next).unwrap();
        for (place, (name, content)) in old.iter().enumerate() {
            let content = if place < written {
                &new[place].1
            } else {
                content
            };
            file::write(&folder.join(name), content, Readers::Owner).unwrap();
        }
        let identities = started(&store, folder).unwrap();
        assert_eq!(identities.authority().pin(), left.pin(), "{written}");
        assert!(!next.exists());
        assert_eq!(files(folder), new);
    }
}

#[test]
fn a_controller_without_a_key_that_counts_has_no_part() {
    let (folder, store) = deployment();
    let elsewhere = tempfile::tempdir().unwrap();
    Authority::load(folder.path())
        .unwrap()
        .save(elsewhere.path())
        .unwrap();
    let other = started_at("192.0.2.2:7450", &store, elsewhere.path()).unwrap();
    let identities = started(&store, folder.path()).unwrap();
    renew(&identities).unwrap();
    other.look_up(now()).unwrap();
    assert!(!other.custody().has_newest());
    let refused = finish(&other).unwrap_err();
    let RenewalError::Refused(NotRenewed::KeyElsewhere { holders }) = refused else {
        unreachable!("{refused}");
    };
    assert_eq!(holders, ["192.0.2.1:7450"]);
    // By force there is one more, for when the key is lost.
    let lost = other.renew_authority(true, now(), &recording());
    lost.unwrap();
    assert_eq!(other.custody().trusted().len(), 3);
    finish(&other).unwrap();
    assert!(matches!(
        identities.look_up(now()),
        Err(IdentityError::GivenUp)
    ));
    assert!(matches!(
        started(&store, folder.path()),
        Err(IdentityError::GivenUp)
    ));
}

#[test]
fn a_host_waits_until_it_says_that_it_has_moved() {
    let (folder, store) = deployment();
    let identities = started(&store, folder.path()).unwrap();
    let enrolment = Enrolment::random().unwrap();
    let host = "hv1".parse().unwrap();
    let record = put(&host_key(&host), &HostRecord::new(enrolment, None));
    let transaction = Transaction {
        compares: Vec::new(),
        operations: vec![record],
    };
    store.transact(&transaction).unwrap();
    renew(&identities).unwrap();
    let refused = finish(&identities).unwrap_err();
    assert_eq!(refused.to_string(), "hv1 would be cut off");
    let custody = identities.custody();
    let says = |enrolment, place: usize| {
        let authority = &custody.trusted()[place];
        let oldest = custody.oldest();
        let issued = Credentials::issue(oldest, &host, enrolment, now(), HOST_LIFETIME);
        let identity = issued.unwrap().identity().clone();
        identities
            .host_says(&identity, &Pin::of(authority).0)
            .unwrap();
    };
    says(enrolment, 0);
    // Of another host that had the name.
    says(Enrolment::random().unwrap(), 1);
    assert!(finish(&identities).is_err());
    says(enrolment, 1);
    finish(&identities).unwrap();
}
