//! What is to become of a frame.

/// The outcome of a stage or of the whole pipeline. The details are in [`crate::Meta`]: a value of
/// one register is all that a kernel subprogram can return.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Verdict {
    /// The next stage goes on with it.
    Next = 0,
    /// Not a frame of the vSwitch: the host's own stack gets it, unchanged.
    Pass = 1,
    /// Dropped for `Meta::reason`.
    Drop = 2,
    /// Handed to the local port with the device `Meta::out_ifindex`.
    Deliver = 3,
    /// Sent in its tunnel through the uplink `Meta::out_ifindex`.
    Send = 4,
    /// As `Send`, but the next hop's MAC address is not known yet: the host is to resolve it.
    SendUnresolved = 5,
    /// The frame has become an answer to its sender: back out through `Meta::ifindex`.
    Answer = 6,
    /// Every receiver has been sent a copy; the original ends here.
    Flood = 7,
    /// The agent has got the frame and answers it.
    Punt = 8,
    /// `Meta::continuation` goes on with it.
    Continue = 9,
}
