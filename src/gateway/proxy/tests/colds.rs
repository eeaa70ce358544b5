//! Requests to a target that is off.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::timeout;

use super::apps::{SHORT, TOKEN, World, answer, send, serve, target};
use super::peers::{PATIENCE, read_all, read_to, write};
use crate::config::gateway::OnCold;
use crate::control::access::Action;
use crate::gateway::wake::Phase;
use crate::net::fake::{closed_port, run};

const OPEN: &[Action] = &[Action::Connect, Action::Wake];

const BROWSER: &str = "Sec-Fetch-Mode: navigate\nAccept: text/html";

async fn woken(world: &World) -> String {
    let asked = async {
        loop {
            if let Some(by) = world.keeper.wake_wanted() {
                return by;
            }
            yield_now().await;
        }
    };
    timeout(PATIENCE, asked).await.unwrap()
}

#[test]
fn a_program_is_held_until_its_target_is_there() {
    run(async {
        let world = World::cold(target(), &[]).await;
        let client = world.client().await;
        send(
            &client,
            &format!("GET / HTTP/1.1\nAuthorization: Bearer {TOKEN}"),
        )
        .await;
        assert_eq!(woken(&world).await, "sa:ns/granted");
        world.wake();
        let app = world.accept().await;
        serve(&app, "at last").await;
        assert!(answer(&client).await.ends_with("at last"));
    });
}

#[test]
fn a_person_gets_a_page_and_the_target_is_woken() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        let told = world.ask(&format!("GET / HTTP/1.1\n{BROWSER}")).await;
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert!(told.contains("retry-after: 5\r\n"), "{told}");
        assert!(told.contains("This is starting up"), "{told}");
        assert!(
            !told.contains("id=s"),
            "it says nothing to those who may not see"
        );
        assert_eq!(woken(&world).await, "anonymous");
        let token = format!("GET / HTTP/1.1\n{BROWSER}\nAuthorization: Bearer {TOKEN}");
        assert!(world.ask(&token).await.contains("id=s"));
    });
}

#[test]
fn those_who_only_look_wake_nothing_and_are_no_use() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        for lines in [
            "HEAD / HTTP/1.1",
            "OPTIONS / HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "GET / HTTP/1.1\nUser-Agent: kube-probe/1.36",
            "GET / HTTP/1.1\nSec-Fetch-Mode: navigate\nSec-Purpose: prefetch",
            "GET /api HTTP/1.1\nSec-Fetch-Mode: cors",
        ] {
            let client = world.client().await;
            send(&client, lines).await;
            let told = read_to(&client, "\r\n\r\n").await;
            assert!(told.starts_with("HTTP/1.1 503"), "{lines}: {told}");
            assert!(told.contains("retry-after: "), "{lines}: {told}");
            assert_eq!(world.keeper.wake_wanted(), None, "{lines}");
        }
        world.wake();
        let probe = world.client().await;
        send(&probe, "GET / HTTP/1.1\nUser-Agent: kube-probe/1.36").await;
        let app = world.accept().await;
        serve(&app, "ok").await;
        answer(&probe).await;
        assert_eq!(world.keeper.last_use(), None);
    });
}

#[test]
fn those_who_only_look_are_served_without_asking_the_others() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        world.wake();
        world.keeper.ask_first();
        for lines in [
            "OPTIONS / HTTP/1.1",
            "GET /favicon.ico HTTP/1.1",
            "GET / HTTP/1.1\nUser-Agent: kube-probe/1.36",
        ] {
            let probe = world.client().await;
            send(&probe, lines).await;
            let app = world.accept().await;
            serve(&app, "ok").await;
            assert!(answer(&probe).await.ends_with("ok"), "{lines}");
        }
        assert_eq!(world.keeper.last_use(), None);
    });
}

#[test]
fn who_may_connect_and_not_wake_does_not_wake() {
    run(async {
        let world = World::cold(target(), &[Action::Connect]).await;
        let told = world.ask("GET / HTTP/1.1").await;
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert_eq!(world.keeper.wake_wanted(), None);
    });
}

#[test]
fn a_hold_ends_and_a_failure_is_told_to_those_who_may_know() {
    run(async {
        let mut target = target();
        let backend = target.backend.as_mut().unwrap();
        backend.hold = Duration::from_millis(30);
        backend.on_cold = OnCold::Hold;
        let world = World::cold(target, OPEN).await;
        let told = world.ask("GET / HTTP/1.1\nAccept: application/json").await;
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert!(told.contains("application/problem+json"), "{told}");
        world
            .keeper
            .phase(Phase::Failed, Some("the quota is used up"));
        let token = format!("GET / HTTP/1.1\nAuthorization: Bearer {TOKEN}");
        assert!(world.ask(&token).await.contains("the quota is used up"));
        assert!(!world.ask("GET / HTTP/1.1").await.contains("quota"));
    });
}

#[test]
fn an_upload_waits_at_the_client_until_there_is_somebody_to_take_it() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        let client = world.client().await;
        send(
            &client,
            "POST / HTTP/1.1\nContent-Length: 4\nExpect: 100-continue",
        )
        .await;
        woken(&world).await;
        let early = timeout(Duration::from_millis(50), read_to(&client, "100")).await;
        assert!(early.is_err(), "nothing is asked for while nobody takes it");
        world.wake();
        let app = world.accept().await;
        read_to(&client, "HTTP/1.1 100 Continue\r\n\r\n").await;
        write(&client, b"data").await;
        let received = read_to(&app, "data").await;
        assert!(!received.contains("expect"), "{received}");
        write(&app, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        answer(&client).await;
    });
}

#[test]
fn a_client_that_leaves_is_not_waited_for() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        let client = world.client().await;
        send(&client, "POST / HTTP/1.1\nContent-Length: 4").await;
        write(&client, b"da").await;
        woken(&world).await;
        drop(client);
        // The wake goes on, and nobody comes to the app.
        timeout(Duration::from_millis(50), std::future::pending::<()>())
            .await
            .unwrap_err();
        world.wake();
        let nobody = timeout(Duration::from_millis(100), world.accept()).await;
        assert!(nobody.is_err());
    });
}

#[test]
fn an_app_that_takes_no_connection_yet_is_tried_again() {
    run(async {
        let mut target = target();
        target.backend.as_mut().unwrap().hold = Duration::from_secs(5);
        let world = World::cold(target, OPEN).await;
        world.keeper.ready(([127, 0, 0, 1], closed_port()).into());
        let client = world.client().await;
        send(&client, "POST / HTTP/1.1\nContent-Length: 4").await;
        write(&client, b"data").await;
        timeout(Duration::from_millis(120), std::future::pending::<()>())
            .await
            .unwrap_err();
        world.wake();
        let app = world.accept().await;
        read_to(&app, "data").await;
        write(&app, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert!(answer(&client).await.starts_with("HTTP/1.1 200"));
    });
}

#[test]
fn the_page_is_told_of_progress() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        let client = world.client().await;
        let status = format!("GET /.gateway/status HTTP/1.1\nAuthorization: Bearer {TOKEN}");
        send(&client, &status).await;
        read_to(&client, r#"data: {"phase":"off","reason":null}"#).await;
        world
            .keeper
            .phase(Phase::Starting, Some("its image is being pulled"));
        read_to(&client, r#""reason":"its image is being pulled""#).await;
        // Another reason in the same phase is news, too, also for who has no scripts.
        let reason = Some("it runs out of memory");
        world.keeper.phase(Phase::Starting, reason);
        read_to(&client, r#""reason":"it runs out of memory""#).await;
        let page = format!("GET / HTTP/1.1\n{BROWSER}\nAuthorization: Bearer {TOKEN}");
        let page = world.ask(&page).await;
        assert!(page.contains(">it runs out of memory</p>"), "{page}");
        let page = world.ask(&format!("GET / HTTP/1.1\n{BROWSER}")).await;
        assert!(!page.contains("out of memory"), "{page}");
        world.wake();
        read_to(&client, "event: ready\n").await;
        assert_eq!(world.keeper.wake_wanted(), None, "to look is not to wake");
        drop(client);
        let closing = world.client().await;
        send(
            &closing,
            "GET / HTTP/1.1\nTransfer-Encoding: chunked, chunked",
        )
        .await;
        let told = String::from_utf8(read_all(&closing).await).unwrap();
        assert!(told.starts_with("HTTP/1.1 400"), "{told}");
    });
}

#[test]
fn pages_that_follow_a_target_take_no_more_room_than_there_is() {
    run(async {
        let world = World::cold(target(), OPEN).await;
        let status = format!("GET /.gateway/status HTTP/1.1\nAuthorization: Bearer {TOKEN}");
        let mut streams = Vec::new();
        for _ in 0..3 {
            let client = world.client().await;
            send(&client, &status).await;
            read_to(&client, r#""phase":"off""#).await;
            streams.push(client);
        }
        let told = world.ask(&status).await;
        assert!(told.starts_with("HTTP/1.1 503"), "{told}");
        assert!(told.contains("retry-after: "), "{told}");
        // Whoever leaves makes room.
        drop(streams.pop());
        timeout(PATIENCE, async {
            while world.context.streams.available_permits() == 0 {
                yield_now().await;
            }
        })
        .await
        .unwrap();
        // One of somebody who may not see it any more ends, and all do with the gateway.
        let client = world.client().await;
        send(&client, &status.replace(TOKEN, SHORT)).await;
        read_to(&client, r#""phase":"off""#).await;
        World::seconds(31).await;
        read_to(&client, "0\r\n\r\n").await;
        world.context.drain();
        for client in streams {
            read_to(&client, "0\r\n\r\n").await;
            assert!(read_all(&client).await.is_empty());
        }
    });
}
