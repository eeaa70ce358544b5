//! The real binary in a life of its own: people, rooms, a homeserver and an API
//! server that behave, or do not. The numbers of rules are those of
//! `docs/security.md`.

mod attacks;
mod claims;
mod clock;
mod commands;
mod congestion;
mod crashes;
mod deferred;
mod encryption;
mod families;
mod files;
mod foreign_text;
mod full_disk;
mod gaps;
mod health;
mod health_crowd;
mod identity;
mod in_clear;
mod invites;
mod kubeconfig;
mod logouts;
mod old_commands;
mod other_lives;
mod own_master;
mod replay;
mod server_words;
mod sessions;
mod signed_out;
mod survival;
mod threads;
mod trust;
mod unreachable;
mod upgrade;
mod withheld;
