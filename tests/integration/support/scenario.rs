//! The world before the bot comes: people and their devices, rooms, the bot's
//! settings, and the coming faults of the homeserver.
//!
//! ```ignore
//! let mut world = Scenario::encrypted()
//!     .user(ALICE, |alice| alice.cross_signed())
//!     .user(MALLORY, |mallory| mallory.device("MALLORYS"))
//!     .member(MALLORY)
//!     .room(SIDE, |room| room.member(MALLORY))
//!     .set("DEVICE_TRUST", "tofu")
//!     .start();
//! let mut mallory = world.take(MALLORY);
//! ```

use super::faults::Fault;
use super::world::{ALICE, BOT, ROOM, World};

/// A world being made. Each step takes effect at once, in this order.
pub struct Scenario {
    world: World,
}

impl Scenario {
    /// The fakes, and Alice with a device.
    pub fn new() -> Self {
        let world = World::new();
        Self { world }
    }

    /// With Alice and the bot in an encrypted room.
    pub fn encrypted() -> Self {
        Self::new().room(ROOM, |room| room.encrypted().member(ALICE))
    }

    /// With Alice and the bot in a room without encryption.
    pub fn plain() -> Self {
        Self::new().room(ROOM, |room| room.member(ALICE))
    }

    /// A user and their devices. Alice has one already; the others are taken out
    /// by [`World::take`].
    pub fn user(mut self, user: &str, plan: impl FnOnce(User<'_>) -> User<'_>) -> Self {
        let plan = plan(User::default());
        for device in &plan.devices {
            let person = self.world.person(user, device);
            self.world.people.push(person);
        }
        if plan.cross_signed {
            let people = std::iter::once(&mut self.world.alice).chain(&mut self.world.people);
            let mut devices = people.filter(|person| person.user == user);
            devices.next().expect("a device").cross_sign();
        }
        self
    }

    /// A room, made by the first of its members, with the bot in it.
    pub fn room<'a>(self, room: &str, plan: impl FnOnce(Room<'a>) -> Room<'a>) -> Self {
        let Room {
            encrypted,
            mut members,
            without_bot,
        } = plan(Room::default());
        if !without_bot {
            members.insert(1, BOT);
        }
        self.world.hs.add_room(room, &members, encrypted);
        self
    }

    /// Somebody more in the room with Alice and the bot.
    pub fn member(self, user: &str) -> Self {
        self.world.hs.member(ROOM, user, "join");
        self
    }

    /// A variable of the bot's environment.
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.world.set(name, value);
        self
    }

    /// Whatever else there is beforehand.
    pub fn with(self, prepare: impl FnOnce(&World)) -> Self {
        prepare(&self.world);
        self
    }

    /// The bot waits so many times shorter ([`World::pace`]).
    pub fn pace(mut self, times: u32) -> Self {
        self.world.pace(times);
        self
    }

    /// The bot's clock can be moved by [`World::jump`].
    pub fn movable_clock(mut self) -> Self {
        self.world.let_clock_move();
        self
    }

    /// Sets the fault of the next `times` requests of a kind to the homeserver.
    pub fn fault(self, pattern: &str, times: usize, fault: Fault) -> Self {
        self.world.hs.fault(pattern, times, fault);
        self
    }

    /// The world before the bot is started.
    pub fn build(self) -> World {
        self.world
    }

    /// The world once the bot listens and people can write to it.
    pub fn start(self) -> World {
        let mut world = self.world;
        world.start();
        world
    }
}

/// A user of a scenario.
#[derive(Default)]
pub struct User<'a> {
    devices: Vec<&'a str>,
    cross_signed: bool,
}

impl<'a> User<'a> {
    pub fn device(mut self, device: &'a str) -> Self {
        self.devices.push(device);
        self
    }

    /// Has cross-signing keys, which sign the first device.
    pub fn cross_signed(mut self) -> Self {
        self.cross_signed = true;
        self
    }
}

/// A room of a scenario.
#[derive(Default)]
pub struct Room<'a> {
    encrypted: bool,
    members: Vec<&'a str>,
    without_bot: bool,
}

impl<'a> Room<'a> {
    pub fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    pub fn member(mut self, user: &'a str) -> Self {
        self.members.push(user);
        self
    }

    pub fn without_bot(mut self) -> Self {
        self.without_bot = true;
        self
    }
}
