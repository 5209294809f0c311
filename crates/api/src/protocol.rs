//! Which versions of agents and controllers understand each other.
//!
//! What is added to the stream in a way that older programs may overlook (a field, a kind of message, a kind of slice) does not change the
//! protocol's number: both sides skip what they do not know. What must not be overlooked raises [`PROTOCOL`], and
//! where the new program cannot do without it, [`OLDEST`]. Each side says its number and refuses one that is older than what it still
//! understands, so the newer of the two decides, which knows both.

/// The protocol that this version speaks.
pub const PROTOCOL: u32 = 1;

/// The oldest one that this version understands.
pub const OLDEST: u32 = 1;

/// What versions spoke that did not say so.
const UNSAID: u32 = 1;

/// A peer that is too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it speaks protocol {spoken}, and this version understands {oldest} and later")]
pub struct TooOld {
    /// What it speaks.
    pub spoken: u32,
    /// What is understood here.
    pub oldest: u32,
}

/// Whether a peer that said this number is understood here.
pub fn understood(said: u32) -> Result<(), TooOld> {
    understood_since(OLDEST, said)
}

fn understood_since(oldest: u32, said: u32) -> Result<(), TooOld> {
    let spoken = said.max(UNSAID);
    if spoken < oldest {
        return Err(TooOld { spoken, oldest });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_ones_are_refused_and_newer_ones_decide_themselves() {
        assert_eq!(understood_since(3, 3), Ok(()));
        assert_eq!(understood_since(3, 9), Ok(()));
        let refused = understood_since(3, 2).map_err(|it| it.to_string());
        assert!(refused.is_err_and(|it| it.contains("protocol 2")));
        // Whoever says nothing speaks the first one.
        assert_eq!(understood_since(1, 0), Ok(()));
        assert_eq!(
            understood_since(2, 0),
            Err(TooOld {
                spoken: 1,
                oldest: 2
            })
        );
        assert_eq!(understood(PROTOCOL), Ok(()));
    }
}
