//! The question that is asked back before something risky is done.
//!
//! The question names what would be done, and a code; only the code confirms it, written
//! by the same person in the same room, once, within a minute of the question's delivery by
//! the process's own clock. In an encrypted room neither a homeserver nor a member can
//! make such an answer, and one that is held back confirms nothing later. Questions are
//! kept in memory alone: a restart voids them.

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use super::Command;
use crate::util::SortedMap;

/// The time for an answer, from the delivery of the question, in milliseconds.
const ANSWER_MS: u64 = 60_000;

/// The longest time from the question to its answer, however late it was delivered, in
/// milliseconds: the homeserver says when that was.
const LONGEST_MS: u64 = 300_000;

/// Wrong codes after which the question is void.
const MAX_WRONG: u8 = 3;

/// The letters of a code: Crockford's base32, without those that look alike.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A question that waits for its answer.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// The room that it was asked in.
    pub room: OwnedRoomId,
    /// The event of the command.
    pub event_id: OwnedEventId,
    /// The command that it is about.
    pub command: Command,
    code: String,
    asked_at: u64,
    delivered_at: Option<u64>,
    wrong: u8,
}

/// The questions that wait: one a person.
#[derive(Debug, Default)]
pub struct Challenges(SortedMap<OwnedUserId, Challenge>);

/// The effect of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Confirmed {
    /// This command is confirmed.
    Command(Command),
    /// The code is another.
    Wrong,
    /// The code is another for the third time: the question is void.
    WrongTooOften,
    /// The time for the answer is over.
    TooLate,
    /// Nothing waits for an answer of this person in this room.
    Nothing,
}

impl Challenge {
    /// A question about `command`, asked at `now` (milliseconds of a clock that is never
    /// set), with a code made of three random bytes.
    pub fn new(
        room: OwnedRoomId,
        event_id: OwnedEventId,
        command: Command,
        random: [u8; 3],
        now: u64,
    ) -> Self {
        Self {
            room,
            event_id,
            command,
            code: code(random),
            asked_at: now,
            delivered_at: None,
            wrong: 0,
        }
    }

    /// Its code: four letters or digits.
    pub fn code(&self) -> &str {
        &self.code
    }

    fn is_over(&self, now: u64) -> bool {
        let from = self.delivered_at.unwrap_or(self.asked_at);
        let longest = self.asked_at.saturating_add(LONGEST_MS);
        now >= from.saturating_add(ANSWER_MS).min(longest)
    }
}

impl Challenges {
    /// Asks a person, whose question before is void.
    pub fn ask(&mut self, user: OwnedUserId, challenge: Challenge) {
        self.0.insert(user, challenge);
    }

    /// Returns true if no question waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The question that was asked because of this event has reached the homeserver.
    pub fn delivered(&mut self, event_id: &str, now: u64) {
        for challenge in self.0.values_mut() {
            if challenge.event_id == event_id {
                challenge.delivered_at.get_or_insert(now);
            }
        }
    }

    /// Voids the question that a person has not answered: they have gone on.
    pub fn forget(&mut self, user: &UserId) {
        self.0.remove(user);
    }

    /// Takes an answer. A question is answered once.
    pub fn answer(&mut self, user: &UserId, room: &RoomId, code: &str, now: u64) -> Confirmed {
        let Some(challenge) = self.0.get_mut(user).filter(|asked| asked.room == room) else {
            return Confirmed::Nothing;
        };
        if challenge.is_over(now) {
            self.0.remove(user);
            return Confirmed::TooLate;
        }
        if !is_same(&challenge.code, code) {
            challenge.wrong += 1;
            if challenge.wrong < MAX_WRONG {
                return Confirmed::Wrong;
            }
            self.0.remove(user);
            return Confirmed::WrongTooOften;
        }
        match self.0.remove(user) {
            Some(challenge) => Confirmed::Command(challenge.command),
            None => Confirmed::Nothing,
        }
    }
}

/// Compares codes as people write them: in any case, O for 0, I and L for 1.
fn is_same(code: &str, given: &str) -> bool {
    let read = given
        .chars()
        .map(|letter| match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        });
    code.chars().eq(read)
}

/// Twenty bits as four letters.
fn code(random: [u8; 3]) -> String {
    let bits = random
        .iter()
        .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
    let letter = |shift: u32| {
        let at = usize::try_from((bits >> shift) & 31).unwrap_or_default();
        char::from(LETTERS.get(at).copied().unwrap_or(b'0'))
    };
    [15, 10, 5, 0].map(letter).iter().collect()
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, room_id, user_id};

    use super::*;

    const SECOND: u64 = 1_000;

    fn asked() -> (Challenges, String) {
        let challenge = Challenge::new(
            room_id!("!ops:test").to_owned(),
            event_id!("$asked").to_owned(),
            Command::List,
            [0x0f, 0xff, 0x01],
            0,
        );
        let code = challenge.code().to_owned();
        let mut challenges = Challenges::default();
        challenges.ask(user_id!("@alice:test").to_owned(), challenge);
        (challenges, code)
    }

    fn answer(challenges: &mut Challenges, code: &str, now: u64) -> Confirmed {
        let (user, room) = (user_id!("@alice:test"), room_id!("!ops:test"));
        challenges.answer(user, room, code, now)
    }

    #[test]
    fn a_code_has_four_letters_that_cannot_be_mistaken() {
        assert_eq!(code([0, 0, 0]), "0000");
        assert_eq!(code([0xff, 0xff, 0xff]), "ZZZZ");
        assert_eq!(code([0x0f, 0xff, 0x01]), "ZZR1");
    }

    #[test]
    fn the_code_confirms_once_in_any_spelling() {
        for spelling in ["ZZR1", "zzr1", "zzri", "zzrL"] {
            let (mut challenges, _) = asked();
            let confirmed = answer(&mut challenges, spelling, SECOND);
            assert_eq!(confirmed, Confirmed::Command(Command::List), "{spelling}");
            let again = answer(&mut challenges, spelling, SECOND);
            assert_eq!(again, Confirmed::Nothing);
        }
    }

    #[test]
    fn nothing_but_the_code_confirms() {
        let (mut challenges, code) = asked();
        for wrong in ["", "ZZR"] {
            assert_eq!(answer(&mut challenges, wrong, SECOND), Confirmed::Wrong);
        }
        let third = answer(&mut challenges, "ZZR1Z", SECOND);
        assert_eq!(third, Confirmed::WrongTooOften);
        let late = answer(&mut challenges, &code, SECOND);
        assert_eq!(late, Confirmed::Nothing, "three wrong codes void it");
    }

    #[test]
    fn nobody_else_and_nowhere_else_confirms() {
        let (mut challenges, code) = asked();
        let (alice, bob) = (user_id!("@alice:test"), user_id!("@bob:test"));
        let (ops, other) = (room_id!("!ops:test"), room_id!("!other:test"));
        for (user, room) in [(bob, ops), (alice, other)] {
            let answered = challenges.answer(user, room, &code, SECOND);
            assert_eq!(answered, Confirmed::Nothing, "{user} {room}");
        }
        let confirmed = answer(&mut challenges, &code, SECOND);
        assert_eq!(confirmed, Confirmed::Command(Command::List));
    }

    #[test]
    fn the_minute_begins_with_the_delivery_of_the_question() {
        for (delivered, at, expected) in [
            (Some(10), 69, Confirmed::Command(Command::List)),
            (Some(10), 70, Confirmed::TooLate),
            (Some(290), 299, Confirmed::Command(Command::List)),
            (Some(290), 300, Confirmed::TooLate),
            (None, 59, Confirmed::Command(Command::List)),
            (None, 60, Confirmed::TooLate),
        ] {
            let (mut challenges, code) = asked();
            challenges.delivered("$other", 0);
            if let Some(delivered) = delivered {
                challenges.delivered("$asked", delivered * SECOND);
                challenges.delivered("$asked", 100 * SECOND);
            }
            let answered = answer(&mut challenges, &code, at * SECOND);
            assert_eq!(answered, expected, "{delivered:?} {at}");
        }
    }

    #[test]
    fn another_command_and_another_question_void_it() {
        let (mut challenges, code) = asked();
        challenges.forget(user_id!("@alice:test"));
        assert_eq!(answer(&mut challenges, &code, 0), Confirmed::Nothing);
    }
}
