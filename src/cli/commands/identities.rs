//! `identities`: lists, forgets or renews identities, beside the running bot.

use std::{fmt::Write, path::Path};

use ruma::{DeviceId, UserId};

use crate::cli::{Error, IdentitiesCommand};
use crate::crypto::{Device, KnownIdentity, PinSource, fingerprint};
use crate::store::{CrossSigningState, Store, Transaction};
use crate::util::{SortedMap, printable};

/// The longest device id that is shown whole, in bytes: that of any Matrix id.
const MAX_SHOWN_ID: usize = 255;

/// Does `command` on the store in `directory` and returns what to print, ending
/// in a newline. The bot that uses the store sees it within a minute.
///
/// # Errors
/// There is no store, it has another format, or it refuses.
pub(in crate::cli) fn run(command: &IdentitiesCommand, directory: &Path) -> Result<String, Error> {
    let mut store = Store::open_beside(directory)?;
    let tx = store.begin()?;
    let text = match command {
        IdentitiesCommand::List => list(&tx),
        IdentitiesCommand::Forget(user) => forget(&tx, user),
        IdentitiesCommand::ForgetDevice(user, device) => forget_device(&tx, user, device),
        IdentitiesCommand::Reset => reset(&tx),
    }?;
    tx.commit()?;
    Ok(text)
}

fn list(tx: &Transaction<'_>) -> Result<String, Error> {
    let own = tx.session().load()?.map(|session| session.user);
    let mut users: SortedMap<_, (KnownIdentity, Vec<Device>)> = SortedMap::new();
    for (user, identity) in tx.identities().all()? {
        users.or_default(user).0 = identity;
    }
    for device in tx.devices().signed_out()? {
        let user = device.user.clone();
        users.or_default(user).1.push(device);
    }
    let mut text = String::new();
    for (user, (identity, signed_out)) in users {
        let is_own = own.as_ref() == Some(&user);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{user}{}", if is_own { " (the bot)" } else { "" });
        describe(&mut text, &identity);
        if is_own {
            describe_own(&mut text, &tx.cross_signing().load()?.state);
        }
        for device in signed_out {
            let (id, key) = (shown(&device.id), fingerprint(&device.ed25519));
            let _ = writeln!(text, "  signed out  {id}  {key}");
        }
    }
    if text.is_empty() {
        text.push_str("nobody with a cross-signing identity is known yet\n");
    }
    Ok(text)
}

fn describe(text: &mut String, identity: &KnownIdentity) {
    let current = identity
        .master
        .as_ref()
        .map_or_else(|| "none seen".to_owned(), fingerprint);
    let _ = writeln!(text, "  current  {current}");
    let Some(pin) = &identity.pin else {
        let _ = writeln!(text, "  pinned   no");
        return;
    };
    let differs = identity.master.is_some_and(|master| master != pin.master);
    let note = match differs {
        true => ": CHANGED, commands are refused",
        false => "",
    };
    let (master, source) = (fingerprint(&pin.master), pin.source);
    let _ = writeln!(text, "  pinned   {master} (by {source}){note}");
}

fn describe_own(text: &mut String, state: &CrossSigningState) {
    let line = match state {
        CrossSigningState::Signed => "the bot's device is signed by it",
        CrossSigningState::Unsigned(why) => why,
        _ => "the bot is finding out whether its device is signed",
    };
    let _ = writeln!(text, "  {line}");
}

/// A device id as it may be shown on a terminal.
fn shown(id: &DeviceId) -> String {
    printable(id.as_str(), MAX_SHOWN_ID)
}

fn forget(tx: &Transaction<'_>, user: &UserId) -> Result<String, Error> {
    let Some(pin) = tx.identities().of_user(user)?.pin else {
        return Err(Error::NotPinned(user.to_owned()));
    };
    if pin.source == PinSource::Configuration {
        return Err(Error::PinnedByConfiguration(user.to_owned()));
    }
    tx.identities().forget_pin(user)?;
    tx.device_lists().mark_outdated(user)?;
    Ok(format!(
        "{user} is no longer pinned to {}\n\
         The identity that the homeserver shows next is pinned within a minute: compare it with \
         the person's own, by \"identities list\".\n",
        fingerprint(&pin.master)
    ))
}

fn forget_device(tx: &Transaction<'_>, user: &UserId, named: &DeviceId) -> Result<String, Error> {
    let known = tx.devices().known(user)?;
    let signed_out = || known.iter().filter(|known| known.deleted);
    // Named as `list` shows it, where that is no other device's id.
    let id = signed_out()
        .map(|known| &known.device.id)
        .find(|id| *id == named)
        .or_else(|| {
            let mut alike = signed_out()
                .map(|known| &known.device.id)
                .filter(|id| shown(id) == named.as_str());
            alike.next().filter(|_| alike.next().is_none())
        });
    let Some(id) = id else {
        return Err(Error::NotSignedOut {
            device: shown(named),
            user: user.to_owned(),
        });
    };
    tx.devices().forget_signed_out(user, id)?;
    tx.device_lists().mark_outdated(user)?;
    Ok(format!(
        "device {} of {user} is no longer signed out\n\
         If the homeserver lists it, it is believed within a minute like any other: ask the person \
         whether it is theirs.\n",
        shown(id)
    ))
}

fn reset(tx: &Transaction<'_>) -> Result<String, Error> {
    let Some(session) = tx.session().load()? else {
        return Err(Error::NoSession);
    };
    tx.cross_signing().set_state(&CrossSigningState::Reset)?;
    Ok(format!(
        "the bot makes a new identity for {} within a minute, or at its next start; whoever had \
         verified the old one has to do it again\n",
        session.user
    ))
}
