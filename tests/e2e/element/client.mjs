// One device of one person, on the stack Element Web runs on: matrix-js-sdk with
// its Rust crypto as WebAssembly. It is steered by JSON lines:
//
//   standard input   {"id": 1, "do": "send", ...}                 a wish
//   standard output  {"id": 1, "result": ...} or {"id": 1, "error": "..."}
//                    {"message": {...}}                           what came in a room
//
// It ends when its standard input does, so that none outlives its tests.

import { Console } from "node:console";
import { createInterface } from "node:readline";

// The SDK logs with console.info and the like. Standard output carries the
// answers alone, so this has to be in place before the SDK is loaded.
globalThis.console = new Console(process.stderr, process.stderr);
const { EventType, MatrixEvent, MatrixEventEvent, RoomEvent, createClient } = await import("matrix-js-sdk");
const {
    AllDevicesIsolationMode,
    CrossSigningKey,
    EventShieldColour,
    EventShieldReason,
    OnlySignedDevicesIsolationMode,
    decodeRecoveryKey,
} = await import("matrix-js-sdk/lib/crypto-api/index.js");

const PATIENCE_MS = 15_000;

let client;
/** What opens the account's secret storage, once this device has made it or was told it. */
let storageKey;

function write(line) {
    process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function until(what, probe) {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        const found = await probe();
        if (found) return found;
        if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS} ms for ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}

/** What Element draws beside a message, by the names it has in the SDK. */
async function shieldOf(event) {
    const info = await client.getCrypto().getEncryptionInfoForEvent(event);
    if (!info) return { colour: null, reason: null };
    return {
        colour: EventShieldColour[info.shieldColour],
        reason: info.shieldReason === null ? null : EventShieldReason[info.shieldReason],
    };
}

/** A message as it stands now: one that cannot be read yet has no text but a failure. */
async function described(event) {
    const failed = event.isDecryptionFailure();
    const content = event.getContent();
    return {
        roomId: event.getRoomId(),
        eventId: event.getId(),
        sender: event.getSender(),
        encrypted: event.isEncrypted(),
        failure: failed ? event.decryptionFailureReason : null,
        text: failed ? null : (content.body ?? null),
        msgtype: failed ? "" : (content.msgtype ?? ""),
        content: failed ? {} : content,
        sessionId: event.getWireContent().session_id ?? null,
        senderKey: event.getSenderKey(),
        serverTs: event.getTs(),
        shield: failed ? { colour: null, reason: null } : await shieldOf(event),
    };
}

async function tell(event) {
    const isMessage = event.getType() === EventType.RoomMessage || event.isDecryptionFailure();
    // While a message is on its way out it has an id of its own making.
    if (isMessage && !event.status) write({ message: await described(event) });
}

function listen() {
    client.on(RoomEvent.Timeline, async (event, _room, toStart) => {
        if (toStart) return;
        // Element decrypts what it shows; the SDK alone does so only for what counts as unread.
        if (event.isEncrypted()) await client.decryptEventIfNeeded(event);
        else await tell(event);
    });
    // Fires for a failure as well, and again when a late key made the message readable.
    client.on(MatrixEventEvent.Decrypted, tell);
}

const wishes = {
    /** Logs in at a new device and syncs with the options of Element Web; excludes insecure devices if told so. */
    async start({ homeserver, user, password, device, crossSigning, onlySigned }) {
        const login = await createClient({ baseUrl: homeserver }).loginRequest({
            type: "m.login.password",
            identifier: { type: "m.id.user", user },
            password,
            initial_device_display_name: device,
        });
        client = createClient({
            baseUrl: homeserver,
            userId: login.user_id,
            deviceId: login.device_id,
            accessToken: login.access_token,
            cryptoCallbacks: {
                getSecretStorageKey: async ({ keys }) => storageKey && [Object.keys(keys)[0], storageKey],
            },
        });
        await client.initRustCrypto({ useIndexedDB: false });
        await wishes.isolate({ onlySigned });
        listen();
        await client.startClient({ lazyLoadMembers: true, pendingEventOrdering: "detached" });
        await until("the first sync", () => client.isInitialSyncComplete());
        if (crossSigning) await wishes.bootstrapCrossSigning({ password });
        return { deviceId: login.device_id, version: client.getCrypto().getVersion() };
    },

    /** Makes the person's cross-signing keys, or new ones, and signs this device with them. */
    async bootstrapCrossSigning({ password, reset }) {
        await client.getCrypto().bootstrapCrossSigning({
            setupNewCrossSigning: reset ?? false,
            authUploadDeviceSigningKeys: (upload) =>
                // A server asks for the password unless these are the first keys of the user.
                upload(null).catch((error) => {
                    if (!error.data?.session) throw error;
                    return upload({
                        type: "m.login.password",
                        identifier: { type: "m.id.user", user: client.getUserId() },
                        password,
                        session: error.data.session,
                    });
                }),
        });
    },

    /** Sets up secret storage with the keys this device holds, and gives the recovery key. */
    async setUpRecovery() {
        const made = await client.getCrypto().createRecoveryKeyFromPassphrase();
        storageKey = made.privateKey;
        await client.getCrypto().bootstrapSecretStorage({
            createSecretStorageKey: async () => made,
            setupNewSecretStorage: true,
        });
        return made.encodedPrivateKey;
    },

    /** Fetches the keys from secret storage and signs this device with them: "Verify with recovery key". */
    async verifyWithRecoveryKey({ recoveryKey }) {
        storageKey = decodeRecoveryKey(recoveryKey);
        // The public keys are fetched beside the first sync; without them nothing can be imported.
        await until("its user's identity", () => client.getCrypto().userHasCrossSigningKeys(undefined, true));
        await client.getCrypto().bootstrapCrossSigning({});
    },

    /** Signs another device of this user: "Verify" in the list of sessions, after the codes were compared. */
    async crossSign({ deviceId }) {
        await client.getCrypto().getUserDeviceInfo([client.getUserId()], true);
        await client.getCrypto().crossSignDevice(deviceId);
    },

    /** The public master key of this device's user, unpadded Base64. */
    async masterKey() {
        return client.getCrypto().getCrossSigningKeyId(CrossSigningKey.Master);
    },

    /** What the SDK makes of a device: whether its owner has signed it. */
    async deviceStatus({ userId, deviceId }) {
        await client.getCrypto().getUserDeviceInfo([userId], true);
        const status = await client.getCrypto().getDeviceVerificationStatus(userId, deviceId);
        return status && { signedByOwner: status.signedByOwner };
    },

    /** Begins a new Megolm session with the next message of this device. */
    async discardSession({ roomId }) {
        await client.getCrypto().forceDiscardSession(roomId);
    },

    /** Ends this device: the server forgets it and its keys. */
    async logout() {
        await client.logout(true);
    },

    /** "Exclude insecure devices": only devices signed by their owner get keys and are read. */
    async isolate({ onlySigned }) {
        const mode = onlySigned ? new OnlySignedDevicesIsolationMode() : new AllDevicesIsolationMode(false);
        client.getCrypto().setDeviceIsolationMode(mode);
    },

    async createRoom({ encrypted, invite, name }) {
        const encryption = { type: EventType.RoomEncryption, state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
        const { room_id: roomId } = await client.createRoom({
            preset: "private_chat",
            name,
            invite,
            initial_state: encrypted ? [encryption] : [],
        });
        await until(`its new room ${roomId}`, () => client.getRoom(roomId)?.getMyMembership() === "join");
        if (encrypted) {
            await until(`${roomId} to be encrypted`, () => client.getCrypto().isEncryptionEnabledInRoom(roomId));
        }
        return roomId;
    },

    async invite({ roomId, userId }) {
        await client.invite(roomId, userId);
    },

    async join({ roomId }) {
        await client.joinRoom(roomId);
        await until(`${roomId} it joined`, () => client.getRoom(roomId)?.getMyMembership() === "join");
    },

    async leave({ roomId }) {
        await client.leave(roomId);
        await until(`${roomId} to be left`, () => client.getRoom(roomId)?.getMyMembership() === "leave");
    },

    async seesMember({ roomId, userId }) {
        await until(`${userId} in ${roomId}`, async () => {
            await client.getRoom(roomId)?.loadMembersIfNeeded();
            return client.getRoom(roomId)?.getMember(userId)?.membership === "join";
        });
    },

    /** Sends a text and tells how it lies on the server: what was meant to be encrypted may not be. */
    async send({ roomId, text }) {
        const { event_id: eventId } = await client.sendTextMessage(roomId, text);
        const raw = await client.fetchRoomEvent(roomId, eventId);
        return {
            eventId,
            encrypted: raw.type === EventType.RoomMessageEncrypted,
            sessionId: raw.content.session_id ?? null,
        };
    },

    /** The messages of a room as they stand on the screen, what edits made of them included, and its badge. */
    async screen({ roomId }) {
        const room = client.getRoom(roomId);
        const messages = room.getLiveTimeline().getEvents().filter((event) => {
            return event.getType() === EventType.RoomMessage && !event.isRelation("m.replace");
        });
        return {
            messages: messages.map((event) => ({
                sender: event.getSender(),
                text: event.getContent().body,
                edited: event.replacingEventId() !== undefined,
            })),
            unread: room.getUnreadNotificationCount("total"),
            highlights: room.getUnreadNotificationCount("highlight"),
        };
    },

    /** Tries to read an event this device was handed rather than sent. */
    async decrypt({ event }) {
        const handed = new MatrixEvent(event);
        await client.decryptEventIfNeeded(handed);
        return described(handed);
    },

    async deviceKeys({ userId }) {
        const devices = (await client.getCrypto().getUserDeviceInfo([userId], true)).get(userId) ?? new Map();
        return Object.fromEntries([...devices].map(([id, device]) => [id, device.getIdentityKey()]));
    },
};

async function fulfil({ id, do: name, ...wish }) {
    try {
        write({ id, result: (await wishes[name](wish)) ?? null });
    } catch (error) {
        write({ id, error: String(error?.stack ?? error) });
    }
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => fulfil(JSON.parse(line)));
lines.on("close", () => {
    client?.stopClient();
    process.exit(0);
});
