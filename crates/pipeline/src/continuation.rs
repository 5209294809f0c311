//! Where the pipeline may be left and entered again.
//!
//! A kernel's program has 512 bytes of stack and is verified as a whole, so what only some frames meet stands in
//! programs of its own. A stage that hands a frame over says where it goes on (`Meta::continuation`); the kernel binding
//! then jumps to the program of that name, and hosts just call [`finish`]. All that the stages know is in [`Meta`], which
//! survives the jump. From a continuation the frame may be handed over again.

use crate::{Frame, Meta, Sink, Tables, Verdict, firewall};

macro_rules! continuations {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $program:literal, $run:path;)+) => {
        /// A place where the pipeline goes on.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum Continuation {
            $($(#[$doc])* $variant = $code,)+
        }

        impl Continuation {
            /// All of them, in the order of their codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The kernel's program that goes on there.
            pub const fn program(self) -> &'static str {
                match self { $(Self::$variant => $program,)+ }
            }

            #[inline(always)]
            fn run<F: Frame, T: Tables, S: Sink>(
                self,
                frame: &mut F,
                tables: &T,
                sink: &S,
                meta: &mut Meta,
            ) -> Verdict {
                match self { $(Self::$variant => $run(frame, tables, sink, meta),)+ }
            }
        }
    };
}

continuations! {
    /// With the place of the destination, for a frame that its sender's side lets pass.
    Forward = 0, "coax_forward", crate::forward_and_tell;
    /// With handing over, for a frame that its receiver's side lets pass.
    Deliver = 1, "coax_deliver", crate::deliver_stages;
    /// With a TCP segment at a firewall.
    Tcp = 2, "coax_tcp", firewall::tcp_segment;
    /// With any other packet at a firewall.
    Exchange = 3, "coax_exchange", firewall::exchange;
    /// With an ICMP error at a firewall.
    IcmpError = 4, "coax_icmp_error", firewall::icmp_error;
    /// With a packet that firewall policy is to decide about.
    Judge = 5, "coax_judge", firewall::judge;
    /// With the first packet of a connection that policy admits.
    Keep = 6, "coax_keep", firewall::keep;
    /// With the first fragment of a datagram, which may pass.
    FirstFragment = 7, "coax_fragment", firewall::first_fragment;
    /// With a later fragment.
    LaterFragment = 8, "coax_follower", firewall::later_fragment;
    /// With a packet that a rule rejects.
    Reject = 9, "coax_reject", firewall::reject;
    /// With a frame of a port that is dropped, or a question that went to foreign VTEPs.
    Dropped = 10, "coax_dropped", crate::report::dropped;
}

/// Goes on with a frame that ended with [`Verdict::Continue`], from `place`, which is that of `meta`.
#[inline(always)]
pub fn go_on<F: Frame, T: Tables, S: Sink>(
    place: Continuation,
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    let verdict = place.run(frame, tables, sink, meta);
    crate::settle(verdict, sink, meta)
}

/// Goes on with a frame until it ends.
pub fn finish<F: Frame, T: Tables, S: Sink>(
    mut verdict: Verdict,
    frame: &mut F,
    tables: &T,
    sink: &S,
    meta: &mut Meta,
) -> Verdict {
    while verdict == Verdict::Continue {
        verdict = go_on(meta.continuation, frame, tables, sink, meta);
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::Continuation;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_dense_and_programs_differ() {
        for (index, place) in Continuation::ALL.iter().enumerate() {
            assert_eq!(*place as usize, index);
        }
        let programs: BTreeSet<_> = Continuation::ALL
            .iter()
            .map(|place| place.program())
            .collect();
        assert_eq!(programs.len(), Continuation::ALL.len());
    }
}
