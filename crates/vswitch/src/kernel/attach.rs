//! Programs on devices, in a way that survives the agent.
//!
//! Linux 6.6 and later: a tcx link, pinned, whose program is replaced in one step. Before: a
//! classifier of the `clsact` qdisc under a fixed priority and handle, which is replaced in one
//! step too and needs no pin.

use super::failed;
use super::features::has_tcx;
use super::programs;
use crate::{Attachment, DataPlaneError};
use aya::programs::links::{FdLink, LinkOrder, PinnedLink};
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact,
};
use aya::programs::{SchedClassifier, TcAttachType};
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::path::{Path, PathBuf};

const PRIORITY: u16 = 0xc0a;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// Name of the program for a side.
pub(super) const fn program_name(side: Attachment) -> &'static str {
    match side {
        Attachment::Port => "coax_port",
        Attachment::Uplink => "coax_uplink",
    }
}

const fn side_name(side: Attachment) -> &'static str {
    match side {
        Attachment::Port => "port",
        Attachment::Uplink => "uplink",
    }
}

/// Name of an attachment in the folders of pins.
fn attachment_name(ifindex: u32, side: Attachment) -> String {
    format!("{}-{ifindex}", side_name(side))
}

/// The devices that have a program.
#[derive(Debug)]
pub(super) struct Attachments {
    pins: PathBuf,
    folder: PathBuf,
    /// Classifiers of older kernels leave no pin that could be listed.
    classifiers: BTreeSet<(u32, Attachment)>,
}

fn device_name(ifindex: u32) -> Result<String, DataPlaneError> {
    let name =
        nix::net::if_::if_indextoname(ifindex).map_err(|_| DataPlaneError::NoDevice { ifindex })?;
    let name: &CStr = name.as_ref();
    Ok(name.to_string_lossy().into_owned())
}

fn program(ebpf: &mut aya::Ebpf, side: Attachment) -> Result<&mut SchedClassifier, DataPlaneError> {
    let name = program_name(side);
    ebpf.program_mut(name)
        .ok_or_else(|| failed(format!("find the program {name}"))("the object lacks it"))?
        .try_into()
        .map_err(failed(format!("use the program {name}")))
}

impl Attachments {
    pub(super) fn new(pins: &Path) -> Self {
        Self {
            pins: pins.to_owned(),
            folder: pins.join("links"),
            classifiers: BTreeSet::new(),
        }
    }

    fn pin(&self, ifindex: u32, side: Attachment) -> PathBuf {
        self.folder.join(attachment_name(ifindex, side))
    }

    pub(super) fn attach(
        &mut self,
        ebpf: &mut aya::Ebpf,
        array: &programs::Pins,
        ifindex: u32,
        side: Attachment,
    ) -> Result<(), DataPlaneError> {
        let device = device_name(ifindex)?;
        if side == Attachment::Uplink {
            allow_route_lookups()?;
        }
        let name = attachment_name(ifindex, side);
        array.keep(&self.pins, &name)?;
        if has_tcx() {
            self.attach_tcx(ebpf, ifindex, side, &device)?;
        } else {
            self.attach_classifier(ebpf, ifindex, side, &device)?;
        }
        array.release_others(&self.pins, &name)
    }

    fn attach_tcx(
        &self,
        ebpf: &mut aya::Ebpf,
        ifindex: u32,
        side: Attachment,
        device: &str,
    ) -> Result<(), DataPlaneError> {
        let path = self.pin(ifindex, side);
        let program = program(ebpf, side)?;
        if path.exists() {
            let replaced = PinnedLink::from_pin(&path)
                .and_then(|link| SchedClassifierLink::try_from(FdLink::from(link)))
                .is_ok_and(|link| match program.attach_to_link(link) {
                    Ok(id) => program.take_link(id).map(std::mem::forget).is_ok(),
                    Err(_) => false,
                });
            if replaced {
                return Ok(());
            }
            // The device that this link was for is gone, another one got its index.
            remove_pin(&path)?;
        }
        std::fs::create_dir_all(&self.folder)
            .map_err(failed(format!("make {}", self.folder.display())))?;
        // First in line: what a port sends is decided here and nowhere else.
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let id = program
            .attach_with_options(device, TcAttachType::Ingress, options)
            .map_err(failed(format!("attach to {device}")))?;
        let link = program
            .take_link(id)
            .map_err(failed(format!("keep the link of {device}")))?;
        let link = FdLink::try_from(link).map_err(failed(format!("keep the link of {device}")))?;
        link.pin(&path)
            .map_err(failed(format!("pin the link of {device}")))?;
        Ok(())
    }

    fn attach_classifier(
        &mut self,
        ebpf: &mut aya::Ebpf,
        ifindex: u32,
        side: Attachment,
        device: &str,
    ) -> Result<(), DataPlaneError> {
        // It fails where the qdisc is there already, which attaching finds out anyway.
        let _ = qdisc_add_clsact(device);
        let program = program(ebpf, side)?;
        let options = || {
            TcAttachOptions::Netlink(NlOptions {
                priority: PRIORITY,
                handle: HANDLE,
                classid: None,
            })
        };
        let id = match program.attach_with_options(device, TcAttachType::Ingress, options()) {
            Ok(id) => id,
            Err(_) => {
                let link = SchedClassifierLink::attached(
                    device,
                    TcAttachType::Ingress,
                    PRIORITY,
                    HANDLE,
                    None,
                )
                .map_err(failed(format!("find the classifier of {device}")))?;
                program
                    .attach_to_link(link)
                    .map_err(failed(format!("attach to {device}")))?
            }
        };
        let link = program
            .take_link(id)
            .map_err(failed(format!("keep the link of {device}")))?;
        // Dropping it would take the classifier off.
        std::mem::forget(link);
        self.classifiers.insert((ifindex, side));
        Ok(())
    }

    pub(super) fn detach(&mut self, ifindex: u32, side: Attachment) -> Result<(), DataPlaneError> {
        if has_tcx() {
            remove_pin(&self.pin(ifindex, side))?;
        } else {
            self.classifiers.remove(&(ifindex, side));
            if let Ok(device) = device_name(ifindex) {
                // Dropping it takes the classifier off.
                drop(SchedClassifierLink::attached(
                    &device,
                    TcAttachType::Ingress,
                    PRIORITY,
                    HANDLE,
                    None,
                ));
            }
        }
        programs::release(&self.pins, &attachment_name(ifindex, side))
    }

    pub(super) fn all(&self) -> Result<Vec<(u32, Attachment)>, DataPlaneError> {
        let mut all = self.classifiers.clone();
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(_) => return Ok(all.into_iter().collect()),
        };
        for entry in entries {
            let entry = entry.map_err(failed("list the pinned links"))?;
            let name = entry.file_name();
            let Some((side, ifindex)) = name.to_str().and_then(|name| name.split_once('-')) else {
                continue;
            };
            let side = if side == "port" {
                Attachment::Port
            } else {
                Attachment::Uplink
            };
            if let Ok(ifindex) = ifindex.parse() {
                all.insert((ifindex, side));
            }
        }
        Ok(all.into_iter().collect())
    }

    pub(super) fn remove_all(&mut self) -> Result<(), DataPlaneError> {
        for (ifindex, side) in self.all()? {
            self.detach(ifindex, side)?;
        }
        if !has_tcx() {
            for interface in nix::net::if_::if_nameindex()
                .map_err(failed("list devices"))?
                .iter()
            {
                self.detach(interface.index(), Attachment::Port)?;
            }
        }
        Ok(())
    }
}

/// The program looks routes up as for packets that the host sends itself, which the kernel allows
/// where forwarding is on for the loopback device. Nothing is forwarded because of it.
fn allow_route_lookups() -> Result<(), DataPlaneError> {
    for family in ["ipv4", "ipv6"] {
        let path = format!("/proc/sys/net/{family}/conf/lo/forwarding");
        match std::fs::write(&path, "1") {
            // A host without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => result.map_err(failed(format!("write 1 to {path}")))?,
        }
    }
    Ok(())
}

/// Removing the pin of a link that nobody holds open takes its program off.
fn remove_pin(path: &Path) -> Result<(), DataPlaneError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed(format!("remove {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}
