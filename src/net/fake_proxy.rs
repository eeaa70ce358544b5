//! A proxy on loopback that tunnels to wherever a test wants a host to be.

use std::collections::HashMap;
use std::io::{Write, copy};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::fake::read_request;

/// The proxy. It works until the test ends.
pub(crate) struct FakeProxy {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    /// `routes` leads from targets, such as `example.com:443`, to ports on
    /// loopback. Other targets get status 502.
    pub(crate) fn new<const N: usize>(routes: [(&str, u16); N]) -> Self {
        let routes = routes.map(|(target, port)| (target.to_owned(), port));
        let routes = Arc::new(HashMap::from(routes));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (routes, log) = (Arc::clone(&routes), Arc::clone(&log));
                thread::spawn(move || serve(client.unwrap(), &routes, &log));
            }
        });
        Self { port, requests }
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, routes: &HashMap<String, u16>, log: &Mutex<Vec<String>>) {
    let Some(request) = read_request(&mut client) else {
        return;
    };
    let target = request.split(' ').nth(1).unwrap_or_default();
    let port = routes.get(target).copied();
    log.lock().unwrap().push(request);
    let Some(server) = port.and_then(|port| TcpStream::connect(("127.0.0.1", port)).ok()) else {
        drop(client.write_all(b"HTTP/1.1 502 X\r\n\r\n"));
        return;
    };
    drop(client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"));
    let (from_client, from_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || pass(from_server, client));
    pass(from_client, server);
}

/// Passes bytes on until one side has had enough.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    drop(copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}
