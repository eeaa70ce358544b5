//! The phases of a session and the states of its sync, with every transition.

/// The phase of a session. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was synced yet. The device's keys are uploaded first: a sync counted
    /// before they arrived would ask for as many again.
    Starting {
        /// The homeserver has the device's keys.
        keys_uploaded: bool,
    },
    /// The first sync was taken in, so this store is known to be no older copy: commands
    /// are executed and messages are sent. The bot's own cross-signing identity is not
    /// settled yet.
    Bootstrapping,
    /// All of it is done, and the log says that the bot listens.
    Serving,
}

impl Phase {
    /// Returns true if a sync was taken in.
    pub const fn has_synced(self) -> bool {
        !matches!(self, Self::Starting { .. })
    }

    /// Returns true if the log has not yet said that the bot listens.
    pub const fn is_unannounced(self) -> bool {
        !matches!(self, Self::Serving)
    }

    /// A sync is taken in.
    pub fn sync_taken_in(&mut self) {
        if matches!(self, Self::Starting { .. }) {
            *self = Self::Bootstrapping;
        }
    }

    /// The phase after a transaction. The store is asked only for what ends this one: a
    /// command in the last phase asks it for nothing.
    ///
    /// # Errors
    /// Those of the function that was called.
    pub fn after<E>(
        self,
        keys_uploaded: impl FnOnce() -> Result<bool, E>,
        bootstrap_done: impl FnOnce() -> Result<bool, E>,
    ) -> Result<Self, E> {
        Ok(match self {
            Self::Starting { .. } => Self::Starting {
                keys_uploaded: keys_uploaded()?,
            },
            Self::Bootstrapping if bootstrap_done()? => Self::Serving,
            phase => phase,
        })
    }
}

/// The state of the sync, from its request until all of its answer is taken in.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncState {
    /// One is under way.
    is_under_way: bool,
    /// The counts of keys in the last sync were outdated: the next one is to answer at
    /// once.
    skips_long_poll: bool,
    /// Keys were uploaded since the sync began: its counts of keys may be older than they.
    counts_outdated: bool,
}

impl SyncState {
    /// Returns true if no sync is under way.
    pub const fn is_idle(self) -> bool {
        !self.is_under_way
    }

    /// Returns true if the next sync is to answer at once.
    pub const fn skips_long_poll(self) -> bool {
        self.skips_long_poll
    }

    /// A sync is asked for.
    pub const fn started(&mut self) {
        self.is_under_way = true;
        self.counts_outdated = false;
    }

    /// Keys arrived at the homeserver.
    pub const fn keys_uploaded(&mut self) {
        self.counts_outdated = true;
    }

    /// The sync failed; what is known of the counts stays as it was.
    pub const fn failed(&mut self) {
        self.is_under_way = false;
    }

    /// The last piece of a sync is taken in. Returns true if its counts of keys hold.
    pub const fn finished(&mut self) -> bool {
        self.is_under_way = false;
        self.skips_long_poll = self.counts_outdated;
        !self.counts_outdated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Phase = Phase::Starting {
        keys_uploaded: false,
    };
    const UPLOADED: Phase = Phase::Starting {
        keys_uploaded: true,
    };

    #[test]
    fn the_phases_follow_each_other() {
        // Phase, keys uploaded, bootstrap done → phase, begins to serve.
        for (before, keys, done, after, begins) in [
            (NEW, false, false, NEW, false),
            (NEW, true, false, UPLOADED, false),
            (NEW, true, true, UPLOADED, false),
            (UPLOADED, false, true, NEW, false),
            (
                Phase::Bootstrapping,
                true,
                false,
                Phase::Bootstrapping,
                false,
            ),
            (Phase::Bootstrapping, false, true, Phase::Serving, true),
            (Phase::Serving, true, true, Phase::Serving, false),
            (Phase::Serving, true, false, Phase::Serving, false),
        ] {
            let phase = before.after(|| Ok::<_, ()>(keys), || Ok(done)).unwrap();
            assert_eq!(phase, after, "{before:?}");
            let is_announced = !phase.is_unannounced();
            assert_eq!(
                before.is_unannounced() && is_announced,
                begins,
                "{before:?}"
            );
        }
        for (before, after) in [
            (NEW, Phase::Bootstrapping),
            (UPLOADED, Phase::Bootstrapping),
            (Phase::Bootstrapping, Phase::Bootstrapping),
            (Phase::Serving, Phase::Serving),
        ] {
            let mut phase = before;
            phase.sync_taken_in();
            assert_eq!(phase, after);
            assert!(phase.has_synced());
        }
        assert!(NEW.is_unannounced() && Phase::Bootstrapping.is_unannounced());
        assert!(!Phase::Serving.is_unannounced() && !NEW.has_synced());
    }

    #[test]
    fn keys_uploaded_during_a_sync_make_the_next_one_answer_at_once() {
        let mut sync = SyncState::default();
        sync.keys_uploaded();
        assert!(sync.is_idle() && !sync.skips_long_poll());
        sync.started();
        assert!(!sync.is_idle());
        assert!(sync.finished(), "the counts hold");
        sync.started();
        sync.keys_uploaded();
        assert!(!sync.finished(), "they do not");
        assert!(sync.is_idle() && sync.skips_long_poll());
        sync.started();
        sync.failed();
        assert!(sync.skips_long_poll(), "that is still to be found out");
        sync.started();
        assert!(sync.finished());
        assert!(!sync.skips_long_poll());
    }
}
