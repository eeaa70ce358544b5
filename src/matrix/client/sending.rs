//! Messages into rooms: the answer to a message, and the calls of receipts and typing
//! notifications.
//!
//! Specification: <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid>,
//! <https://spec.matrix.org/v1.11/client-server-api/#post_matrixclientv3roomsroomidreceiptreceipttypeeventid>,
//! <https://spec.matrix.org/v1.11/client-server-api/#put_matrixclientv3roomsroomidtypinguserid>

use http::Method;
use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde::Deserialize;
use serde_json::json;

use super::{api::Call, sync::encode};
use crate::util::{MAX_ID, is_carried};

/// The event that a message became, by the answer to its request. None for what is no
/// message, and where the server does not say.
pub fn read_sent(body: &[u8]) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Sent {
        event_id: String,
    }
    let Sent { event_id } = serde_json::from_slice(body).ok()?;
    let is_carried = is_carried(&event_id, MAX_ID);
    OwnedEventId::try_from(event_id).ok().filter(|_| is_carried)
}

/// The call that marks all up to an event as read; of a thread (its first message), where
/// the event is in one.
pub(crate) fn receipt_call(room: &RoomId, event: &EventId, thread: Option<&EventId>) -> Call {
    let path = format!(
        "/_matrix/client/v3/rooms/{}/receipt/m.read/{}",
        encode(room.as_str()),
        encode(event.as_str())
    );
    let body = match thread {
        Some(root) => json!({ "thread_id": root }),
        None => json!({}),
    };
    Call::post(path, body.to_string().into_bytes())
}

/// The call that shows `user` in a room as typing for 30 s, or no longer.
pub(crate) fn typing_call(room: &RoomId, user: &UserId, is_typing: bool) -> Call {
    let body = match is_typing {
        true => json!({"typing": true, "timeout": 30_000}),
        false => json!({"typing": false}),
    };
    Call {
        method: Method::PUT,
        path: format!(
            "/_matrix/client/v3/rooms/{}/typing/{}",
            encode(room.as_str()),
            encode(user.as_str())
        ),
        body: body.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, room_id, user_id};
    use serde_json::Value;

    use super::*;

    fn body(call: &Call) -> Value {
        serde_json::from_slice(&call.body).unwrap()
    }

    #[test]
    fn the_event_that_a_message_became_is_an_id() {
        let read = |body: &str| read_sent(body.as_bytes()).map(|id| id.to_string());
        assert_eq!(read(r#"{"event_id":"$e"}"#).as_deref(), Some("$e"));
        for other in [
            "{}",
            "",
            "[]",
            r#"{"event_id":"e"}"#,
            r#"{"event_id":"$a\nb"}"#,
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_receipt_in_a_thread_is_one_of_the_thread() {
        let (room, event) = (room_id!("!r/x:test"), event_id!("$e"));
        let call = receipt_call(room, event, None);
        let path = "/_matrix/client/v3/rooms/%21r%2Fx%3Atest/receipt/m.read/%24e";
        assert_eq!((call.method.as_str(), call.path.as_str()), ("POST", path));
        assert_eq!(body(&call), json!({}));
        let call = receipt_call(room, event, Some(event_id!("$root")));
        assert_eq!(body(&call), json!({"thread_id": "$root"}));
    }

    #[test]
    fn typing_ends_by_itself_or_when_that_is_said() {
        let (room, user) = (room_id!("!r:test"), user_id!("@bot:test"));
        let call = typing_call(room, user, true);
        let path = "/_matrix/client/v3/rooms/%21r%3Atest/typing/%40bot%3Atest";
        assert_eq!((call.method.as_str(), call.path.as_str()), ("PUT", path));
        assert_eq!(body(&call), json!({"typing": true, "timeout": 30_000}));
        let call = typing_call(room, user, false);
        assert_eq!(body(&call), json!({"typing": false}));
    }
}
