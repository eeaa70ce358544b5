//! The order of Olm messages. A ratchet numbers them, so that the homeserver cannot
//! hold one back unnoticed and deliver it as new.

use serde::{Deserialize, Serialize};

use crate::crypto::OlmPosition;

/// Chains remembered of a session: more than are kept to open messages with.
const CHAINS_KEPT: usize = 8;

/// A sender's chain of messages, in the order in which they begin. Times are by the
/// bot's own clock, in milliseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct Chain {
    /// Its ratchet key, in base64.
    key: String,
    /// The lowest index beyond all that have come.
    next: u64,
    /// Time of its first message.
    since: u64,
    /// Time of the first message that left others out.
    gap_since: Option<u64>,
}

/// Notes the place of a message that was opened. Returns the time at which a later
/// one had come, if one had: it was sent before that.
pub(super) fn note(chains: &mut Vec<Chain>, position: OlmPosition, own_now: u64) -> Option<u64> {
    let OlmPosition { chain, index } = position;
    let key = chain.to_base64();
    let next = index.saturating_add(1);
    let Some(at) = chains.iter().position(|chain| chain.key == key) else {
        // A chain begins when its sender has had an answer, never before another.
        chains.push(Chain {
            key,
            next,
            since: own_now,
            gap_since: (index > 0).then_some(own_now),
        });
        let surplus = chains.len().saturating_sub(CHAINS_KEPT);
        chains.drain(..surplus);
        return None;
    };
    let followed_since = chains.get(at + 1).map(|chain| chain.since);
    let chain = chains.get_mut(at)?;
    let skipped_since = if index >= chain.next {
        if index > chain.next {
            chain.gap_since.get_or_insert(own_now);
        }
        chain.next = next;
        None
    } else {
        chain.gap_since
    };
    // Whichever is earlier.
    [followed_since, skipped_since].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use vodozemac::Curve25519PublicKey;

    use super::*;

    #[test]
    fn a_message_was_sent_before_those_that_left_it_out() {
        let mut chains = Vec::new();
        let mut note = |chain: u8, index, now| {
            let chain = Curve25519PublicKey::from_bytes([chain; 32]);
            note(&mut chains, OlmPosition { chain, index }, now)
        };
        assert_eq!(note(1, 0, 10), None);
        assert_eq!(note(1, 1, 20), None);
        assert_eq!(note(1, 4, 30), None);
        assert_eq!(note(1, 7, 40), None);
        assert_eq!(note(1, 3, 50), Some(30));
        assert_eq!(note(1, 6, 60), Some(30), "the earlier gap may be its own");
        assert_eq!(note(2, 1, 70), None, "another chain begins");
        assert_eq!(note(1, 8, 80), Some(70), "and is ahead of the one before");
        assert_eq!(note(2, 0, 90), Some(70));
        assert_eq!(note(2, 2, 100), None);
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let mut chains = Vec::new();
        for number in 0..100 {
            let chain = Curve25519PublicKey::from_bytes([number; 32]);
            note(&mut chains, OlmPosition { chain, index: 0 }, 1);
        }
        assert_eq!(chains.len(), CHAINS_KEPT);
    }
}
