//! Frames that enter the vSwitch as if a VM had sent them, for `coax trace --inject`.
//!
//! The agent sends them by a device of its own. The program on the way out of that device turns them round into the
//! port's device that their mark names, in front of the vSwitch's program there.

use super::features::has_tcx;
use super::{KernelDataPlane, failed};
use crate::DataPlaneError;
use aya::programs::links::LinkOrder;
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};

/// Name of the program in the object.
pub(super) const PROGRAM: &str = "coax_inject";

impl KernelDataPlane {
    /// Puts the program on a device. It goes with the device.
    pub(super) fn put_injector(&mut self, device: &str) -> Result<(), DataPlaneError> {
        // The one before, whose device is gone.
        self.injector = None;
        let program: &mut SchedClassifier = self
            .ebpf
            .program_mut(PROGRAM)
            .ok_or_else(|| failed(format!("find the program {PROGRAM}"))("the object lacks it"))?
            .try_into()
            .map_err(failed(format!("use the program {PROGRAM}")))?;
        let attached = if has_tcx() {
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            program.attach_with_options(device, TcAttachType::Egress, options)
        } else {
            // It fails where the qdisc is there already, which attaching finds out anyway.
            let _ = qdisc_add_clsact(device);
            program.attach(device, TcAttachType::Egress)
        };
        let id = attached.map_err(failed(format!("attach {PROGRAM} to {device}")))?;
        let link: SchedClassifierLink = program
            .take_link(id)
            .map_err(failed(format!("keep the link of {device}")))?;
        self.injector = Some(link);
        Ok(())
    }
}
