//! What a controller shows and whom it lets in, as the authorities that count change; and where it keeps their keys.
//!
//! There are at most two places for keys: the state folder, for the oldest one that counts, and a folder in it for the newest. When
//! the newest is the only one, it takes the other's place.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use coax_identity::authority::ServerCertificate;
use coax_identity::tls::{PresentCertificate, TrustedAuthorities};
use coax_identity::{Authority, Certificate, Pin};
use coax_store::{KeyValue, Transaction};
use tracing::{info, warn};

use super::authorities::{Authorities, Custody, HOLDERS, Holder, RECORD, short};
use super::deployment::NEXT;
use super::{Identities, IdentityError, read};
use crate::audit::{put, unchanged};

/// What a controller is called that does not know where hosts reach it.
const NAMELESS: &str = "this controller";

/// What a controller shows, and whom it lets in.
pub(super) struct Shown {
    present: Arc<PresentCertificate>,
    trusted: Arc<TrustedAuthorities>,
    /// What its certificates are for, beside their fixed name.
    names: Vec<String>,
    /// What other controllers call it.
    called: String,
}

impl Shown {
    fn show(&self, custody: &Custody, now: SystemTime) -> Result<(), IdentityError> {
        // First who is let in: nobody is shown something new by a controller that does not take him in.
        self.trusted.replace(custody.trusted())?;
        Ok(self.present.replace(servers(custody, &self.names, now)?)?)
    }
}

fn servers(
    custody: &Custody,
    names: &[String],
    now: SystemTime,
) -> Result<Vec<ServerCertificate>, IdentityError> {
    let servers = custody.keys().map(|key| key.server(names, now));
    Ok(servers.collect::<Result<_, _>>()?)
}

impl Identities {
    /// What a controller shows that hosts reach at `addresses`, and whom it lets in; both change with the authorities.
    pub fn show(
        &self,
        addresses: &[String],
        names: Vec<String>,
        now: SystemTime,
    ) -> Result<(Arc<PresentCertificate>, Arc<TrustedAuthorities>), IdentityError> {
        let custody = self.custody();
        let shown = Shown {
            present: PresentCertificate::new(servers(&custody, &names, now)?)?,
            trusted: TrustedAuthorities::new(custody.trusted())?,
            names,
            called: addresses
                .first()
                .map_or(NAMELESS, String::as_str)
                .to_owned(),
        };
        let both = (shown.present.clone(), shown.trusted.clone());
        // A controller starts once.
        let _ = self.shown.set(shown);
        self.look_up(now)?;
        Ok(both)
    }

    /// Shows new certificates of the same authorities, before those that it shows run out.
    pub fn show_again(&self, now: SystemTime) -> Result<(), IdentityError> {
        match self.shown.get() {
            Some(shown) => shown.show(&self.custody(), now),
            None => Ok(()),
        }
    }

    /// Whether a host's certificate is of an authority that counts.
    pub fn accepts(&self, certificate: &Certificate, now: SystemTime) -> bool {
        let shown = self.shown.get();
        shown.is_some_and(|shown| shown.trusted.accepts(certificate, now))
    }

    /// Looks which authorities count, and goes along. A controller that has no key of any fails with
    /// [`IdentityError::GivenUp`].
    pub fn look_up(&self, now: SystemTime) -> Result<(), IdentityError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (found, record) = self.counting(&known)?;
        let trusted = record.certificates()?;
        let keys: Vec<_> = trusted
            .iter()
            .filter_map(|it| self.key_of(Pin::of(it), &mut known))
            .collect();
        let custody = Custody::new(trusted, keys).ok_or(IdentityError::GivenUp)?;
        if !custody.is_same(&self.custody()) {
            if let Some(shown) = self.shown.get() {
                shown.show(&custody, now)?;
            }
            let pins: Vec<_> = custody.trusted().iter().map(short).collect();
            info!(authorities = pins.join(", "), "other authorities count");
            self.custody.send_replace(Arc::new(custody.clone()));
        }
        self.settle_files(&custody);
        match found {
            Some(_) => self.tell_keys(&custody),
            // As long as no authority was renewed, all controllers have the only key.
            None => Ok(()),
        }
    }

    /// The record, and where it was found. Before the first renewal it is what the controller began with.
    fn counting(
        &self,
        known: &[Arc<Authority>],
    ) -> Result<(Option<KeyValue>, Authorities), IdentityError> {
        let found = self.get(RECORD)?;
        let record = match (&found, known.first()) {
            (Some(item), _) => read(item)?,
            (None, Some(own)) => Authorities::only(own)?,
            (None, None) => return Err(IdentityError::GivenUp),
        };
        Ok((found, record))
    }

    pub(super) fn record_of_authorities(
        &self,
    ) -> Result<(Option<KeyValue>, Authorities), IdentityError> {
        self.counting(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A key that this controller has, or was given while it runs.
    fn key_of(&self, pin: Pin, known: &mut Vec<Arc<Authority>>) -> Option<Arc<Authority>> {
        let has = |it: &&Arc<Authority>| it.pin() == pin;
        if let Some(authority) = known.iter().find(has) {
            return Some(authority.clone());
        }
        let folder = self.folder.as_deref()?;
        let mut on_disk = [folder.join(NEXT), folder.to_owned()].into_iter();
        let found =
            on_disk.find_map(|it| Authority::load(&it).ok().filter(|it| it.pin() == pin))?;
        let found = Arc::new(found);
        known.push(found.clone());
        Some(found)
    }

    /// The only authority that counts has the place of the only one.
    fn settle_files(&self, custody: &Custody) {
        let Some(folder) = &self.folder else {
            return;
        };
        let next = folder.join(NEXT);
        if custody.is_renewing() || !next.exists() {
            return;
        }
        let is_next = Authority::load(&next).is_ok_and(|it| it.pin() == custody.authority().pin());
        if is_next && let Err(error) = settle(folder, custody.authority()) {
            warn!(%error, "the new authority's files do not take the place of the old one's yet");
        }
    }

    /// Writes down which keys this controller has.
    fn tell_keys(&self, custody: &Custody) -> Result<(), IdentityError> {
        let Some(shown) = self.shown.get() else {
            return Ok(());
        };
        let key = format!("{HOLDERS}{}", shown.called);
        let pins = custody.keys().map(|it| it.pin().to_string()).collect();
        let holder = Holder { pins };
        let found = self.get(&key)?;
        if found.as_ref().map(read::<Holder>).transpose()?.as_ref() == Some(&holder) {
            return Ok(());
        }
        let transaction = Transaction {
            compares: vec![unchanged(&key, found.as_ref())],
            operations: vec![put(&key, &holder)],
        };
        self.with_store(|store| store.transact(&transaction))
            .map(drop)
    }
}

/// Makes an authority's files those of the only one that counts. What is in `folder` may be half of one and half of another if
/// this is interrupted; then the whole one is still beside it.
pub(super) fn settle(folder: &Path, authority: &Authority) -> Result<(), coax_identity::Error> {
    authority.save(folder)?;
    let next = folder.join(NEXT);
    if next.exists()
        && let Err(error) = fs::remove_dir_all(&next)
    {
        warn!(%error, "a folder that is not needed any more stays");
    }
    Ok(())
}
