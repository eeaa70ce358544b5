//! The pods that a target can be reached at.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::Instant;

use super::super::fake;
use super::super::readiness::Readiness;
use super::super::service_read::ServiceRead;
use super::handles::paused;
use crate::config::gateway::{Backend, Port, Route};
use crate::kube::{
    CollectionChange, EndpointSlice, Service, ServicePort, SliceEndpoint, SlicePort,
};

fn backend(port: Port, route: Route) -> Backend {
    let backend = fake::target("app").backend.unwrap();
    Backend {
        port,
        route,
        ..backend
    }
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn endpoint(last: u8, ready: bool, terminating: bool) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![ip(last)],
        ready,
        terminating,
    }
}

fn slice(name: &str, ports: &[(&str, u16)], endpoints: Vec<SliceEndpoint>) -> EndpointSlice {
    let ports = ports.iter().map(|&(name, port)| SlicePort {
        name: name.to_owned(),
        port,
        is_http2: name == "grpc",
    });
    EndpointSlice {
        name: name.to_owned(),
        service: "app".to_owned(),
        ports: ports.collect(),
        endpoints,
    }
}

fn service(ports: &[(&str, u16)]) -> Service {
    let ports = ports.iter().map(|&(name, port)| ServicePort {
        name: name.to_owned(),
        port,
        is_http2: name == "grpc",
    });
    Service {
        cluster_ip: Some(ip(200)),
        ports: ports.collect(),
    }
}

/// The addresses that are tried, by their last byte and their port.
fn tried(readiness: &Readiness, now: Instant) -> Vec<(u8, u16)> {
    let tried = readiness.to_probe(true, now).into_iter();
    tried
        .map(|address| match address.ip() {
            IpAddr::V4(ip) => (ip.octets()[3], address.port()),
            IpAddr::V6(_) => (0, address.port()),
        })
        .collect()
}

#[test]
fn an_endpoint_is_ready_does_not_end_and_has_the_port() {
    paused(async {
        let now = Instant::now();
        let pods = || {
            vec![
                endpoint(1, true, false),
                endpoint(2, false, false),
                endpoint(3, true, true),
                endpoint(4, false, true),
            ]
        };
        let name = |name: &str| Port::Name(name.to_owned());
        let two: &[(&str, u16)] = &[("http", 8080), ("metrics", 9090)];
        for (port, ports, known, expected) in [
            (name("http"), two, None, vec![(1, 8080)]),
            (name("metrics"), two, None, vec![(1, 9090)]),
            (name("other"), two, None, vec![]),
            // A number is the Service's: it has another one at the pods.
            (
                Port::Number(80),
                two,
                Some(&[("http", 80)]),
                vec![(1, 8080)],
            ),
            (Port::Number(81), two, Some(&[("http", 80)]), vec![]),
            (
                Port::Number(80),
                &[("", 3000)],
                Some(&[("", 80)]),
                vec![(1, 3000)],
            ),
            // Where the Service may not be read it is guessed.
            (Port::Number(80), &[("", 3000)], None, vec![(1, 3000)]),
            (Port::Number(9090), two, None, vec![(1, 9090)]),
            (Port::Number(80), two, None, vec![]),
        ] {
            let mut readiness = Readiness::new(&backend(port.clone(), Route::Pod));
            if let Some(known) = known {
                readiness.resolve(&service(known));
                assert_eq!(readiness.fault().is_none(), !expected.is_empty());
            }
            readiness.observe(CollectionChange::All(vec![slice("a", ports, pods())]));
            assert_eq!(tried(&readiness, now), expected, "{port:?} of {ports:?}");
            assert_eq!(readiness.pods(), 2);
            assert_eq!(readiness.endpoints(), []);
        }
    });
}

#[test]
fn a_port_for_http2_is_not_tried_and_its_pods_are_there() {
    paused(async {
        let now = Instant::now();
        let both: &[(&str, u16)] = &[("http", 8080), ("grpc", 9090)];
        for (port, route, known, is_tried) in [
            (Port::Name("grpc".to_owned()), Route::Pod, None, false),
            (Port::Name("http".to_owned()), Route::Pod, None, true),
            (Port::Number(81), Route::Pod, Some(&[("grpc", 81)]), false),
            (Port::Number(80), Route::Pod, Some(&[("http", 80)]), true),
            (Port::Number(9090), Route::Pod, None, false),
            // It has no such port at all.
            (Port::Number(82), Route::Pod, Some(&[("http", 80)]), false),
            (
                Port::Number(81),
                Route::Service,
                Some(&[("grpc", 81)]),
                false,
            ),
            (
                Port::Number(80),
                Route::Service,
                Some(&[("http", 80)]),
                true,
            ),
        ] {
            let mut readiness = Readiness::new(&backend(port.clone(), route));
            if let Some(known) = known {
                readiness.resolve(&service(known));
            }
            let pods = vec![endpoint(1, true, false)];
            readiness.observe(CollectionChange::All(vec![slice("a", both, pods)]));
            let seen = (readiness.fault().is_none(), tried(&readiness, now).len());
            assert_eq!(
                seen,
                (is_tried, usize::from(is_tried)),
                "{port:?} {route:?}"
            );
            readiness.stopped(now);
            // A pod of before a stop is none that somebody has started since.
            readiness.stopped(now);
            assert_eq!(readiness.pods(), 0, "{port:?} {route:?}");
        }
        // The Service is mended.
        let mut readiness = Readiness::new(&backend(Port::Name("grpc".to_owned()), Route::Pod));
        for (is_http2, tried) in [(true, 0), (false, 1)] {
            let mut slice = slice("a", both, vec![endpoint(1, true, false)]);
            slice.ports[1].is_http2 = is_http2;
            readiness.observe(CollectionChange::Set(slice));
            assert_eq!(readiness.fault().is_some(), is_http2);
            assert_eq!(readiness.to_probe(true, now).len(), tried);
            assert_eq!(readiness.pods(), 1);
        }
        // Others of its slices can be reached.
        let mut old = slice("b", both, vec![endpoint(2, true, false)]);
        old.ports[1].is_http2 = true;
        readiness.observe(CollectionChange::Set(old));
        assert_eq!(readiness.fault(), None);
        assert_eq!(tried(&readiness, now), [(1, 9090)]);
    });
}

#[test]
fn only_what_answers_is_an_endpoint() {
    paused(async {
        let now = Instant::now();
        let mut readiness = Readiness::new(&backend(Port::Name("http".to_owned()), Route::Pod));
        let ports = [("http", 8080)];
        let both = vec![endpoint(1, true, false), endpoint(2, true, false)];
        readiness.observe(CollectionChange::Set(slice("a", &ports, both)));
        let first = SocketAddr::new(ip(1), 8080);
        readiness.accepted(first);
        readiness.accepted(SocketAddr::new(ip(9), 8080));
        assert_eq!(readiness.endpoints().len(), 1);
        assert_eq!(tried(&readiness, now), [(2, 8080)]);
        readiness.refused(first);
        assert_eq!(readiness.endpoints(), []);
        readiness.accepted(first);
        // What was gone has to answer again.
        let other = vec![endpoint(2, true, false)];
        readiness.observe(CollectionChange::Set(slice("a", &ports, other)));
        let both = vec![endpoint(1, true, false), endpoint(2, true, false)];
        readiness.observe(CollectionChange::Set(slice("a", &ports, both)));
        assert_eq!(readiness.endpoints(), []);
        // Slices of others are not looked at; what is lost stays as it was.
        let mut foreign = slice("b", &ports, vec![endpoint(7, true, false)]);
        foreign.service = "other".to_owned();
        readiness.observe(CollectionChange::Set(foreign));
        readiness.observe(CollectionChange::Lost("down".to_owned()));
        assert_eq!(readiness.pods(), 2);
        readiness.observe(CollectionChange::Gone("a".to_owned()));
        assert_eq!(readiness.pods(), 0);
    });
}

#[test]
fn addresses_of_before_a_stop_are_believed_when_they_were_gone() {
    paused(async {
        let now = Instant::now();
        let ports = [("http", 8080)];
        let pod = |ready, terminating| {
            CollectionChange::Set(slice("a", &ports, vec![endpoint(1, ready, terminating)]))
        };
        let mut readiness = Readiness::new(&backend(Port::Name("http".to_owned()), Route::Pod));
        readiness.observe(pod(true, false));
        readiness.accepted(SocketAddr::new(ip(1), 8080));
        readiness.stopped(now);
        assert_eq!((readiness.endpoints().len(), readiness.pods()), (0, 0));
        // The old entry stays for a moment.
        readiness.observe(pod(true, false));
        assert_eq!(tried(&readiness, now), []);
        assert_eq!(readiness.pods(), 0);
        // It ends, and another pod gets its address.
        readiness.observe(pod(true, true));
        readiness.observe(pod(true, false));
        assert_eq!(tried(&readiness, now), [(1, 8080)]);
        assert_eq!(readiness.pods(), 1);
        // Nobody said that it was gone: tried after a while, if it is being started.
        readiness.stopped(now);
        let later = now + Duration::from_secs(2);
        assert_eq!(tried(&readiness, later), [(1, 8080)]);
        assert_eq!(readiness.to_probe(false, later), []);
        readiness.accepted(SocketAddr::new(ip(1), 8080));
        assert_eq!((readiness.endpoints().len(), readiness.pods()), (1, 1));
    });
}

#[test]
fn by_way_of_the_service_its_own_address_is_tried() {
    paused(async {
        let now = Instant::now();
        let mut readiness = Readiness::new(&backend(Port::Number(80), Route::Service));
        assert!(readiness.needs_service());
        readiness.resolve(&service(&[("http", 80)]));
        // Only the connect tells: the slices are not watched.
        assert_eq!(tried(&readiness, now), [(200, 80)]);
        assert_eq!(readiness.pods(), 0);
        readiness.accepted(SocketAddr::new(ip(200), 80));
        assert_eq!((readiness.pods(), readiness.endpoints().len()), (1, 1));
        // After a stop nothing is behind it, and for a moment after the next start it may still
        // lead to what ends.
        readiness.stopped(now);
        let later = now + Duration::from_secs(2);
        readiness.accepted(SocketAddr::new(ip(200), 80));
        assert_eq!(readiness.pods(), 0);
        assert_eq!(tried(&readiness, later), []);
        readiness.counted(3);
        assert_eq!((readiness.pods(), readiness.endpoints().len()), (3, 0));
        assert_eq!(tried(&readiness, now), []);
        assert_eq!(tried(&readiness, later), [(200, 80)]);
        readiness.accepted(SocketAddr::new(ip(200), 80));
        assert_eq!(readiness.endpoints().len(), 1);
        // Others have stopped it.
        readiness.counted(0);
        assert_eq!((readiness.pods(), readiness.endpoints().len()), (0, 0));
        // By another way its pods are watched.
        readiness.reconfigure(&backend(Port::Number(80), Route::Pod));
        let pods = vec![endpoint(1, true, false)];
        readiness.observe(CollectionChange::All(vec![slice("a", &[("", 80)], pods)]));
        assert_eq!(tried(&readiness, later), [(1, 80)]);
    });
}

#[test]
fn another_port_or_way_is_that_of_the_pods_that_are_known() {
    paused(async {
        let now = Instant::now();
        let named = |name: &str| backend(Port::Name(name.to_owned()), Route::Pod);
        let mut readiness = Readiness::new(&named("http"));
        let pods = vec![endpoint(1, true, false)];
        let ports = [("http", 8080), ("web", 9090)];
        readiness.observe(CollectionChange::All(vec![slice("a", &ports, pods)]));
        readiness.accepted(SocketAddr::new(ip(1), 8080));
        readiness.reconfigure(&named("web"));
        assert_eq!((readiness.pods(), readiness.endpoints().len()), (1, 0));
        assert_eq!(tried(&readiness, now), [(1, 9090)]);
        readiness.reconfigure(&backend(Port::Number(80), Route::Service));
        readiness.resolve(&service(&[("http", 80)]));
        assert_eq!(tried(&readiness, now), [(200, 80)]);
    });
}

#[test]
fn the_service_is_read_again_while_its_pods_cannot_be_reached() {
    paused(async {
        let again = Duration::from_secs(10);
        let pods =
            || CollectionChange::Set(slice("a", &[("", 8080)], vec![endpoint(1, true, false)]));
        let mut readiness = Readiness::new(&backend(Port::Number(80), Route::Pod));
        let now = Instant::now();
        assert_eq!(ServiceRead::Not.due(&readiness, false, now), Some(now));
        assert_eq!(
            ServiceRead::Faulty(now, "gone".to_owned()).due(&readiness, false, now),
            Some(now + again)
        );
        assert_eq!(ServiceRead::Done(now).due(&readiness, true, now), None);
        readiness.resolve(&service(&[("", 80)]));
        readiness.observe(pods());
        assert_eq!(
            ServiceRead::Done(now).due(&readiness, true, now),
            Some(now + again)
        );
        assert_eq!(ServiceRead::Done(now).due(&readiness, false, now), None);
        readiness.accepted(SocketAddr::new(ip(1), 8080));
        assert_eq!(ServiceRead::Done(now).due(&readiness, true, now), None);
        // The slices name the port all the same.
        let mut named = Readiness::new(&backend(Port::Name(String::new()), Route::Pod));
        named.observe(pods());
        assert_eq!(ServiceRead::Not.due(&named, true, now), None);
    });
}
