//! The memory of a request's body.

use super::*;

#[test]
fn a_request_can_be_sent_again() {
    run(async {
        let server = Fake::plain([Reply::new(503, ""), Reply::new(200, "")]);
        let body = b"{\"password\":\"hunter2\"}".to_vec();
        let request = Request::new(Method::POST, &server.url("/"), body, LIMITS).unwrap();
        let client = client();
        let again = request.clone();
        assert_eq!(client.send(request).await.unwrap().status, 503);
        assert_eq!(client.send(again).await.unwrap().status, 200);
        let sent = server.requests();
        assert!(
            sent[0].ends_with("{\"password\":\"hunter2\"}"),
            "{}",
            sent[0]
        );
        assert_eq!(sent[0], sent[1]);
    });
}

/// Reads this process' memory through the kernel, which may fail where
/// reading through a pointer may not.
#[cfg(target_os = "linux")]
fn memory(address: usize, length: usize) -> Vec<u8> {
    use std::os::unix::fs::FileExt;

    let mut bytes = vec![0; length];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    match memory.read_exact_at(&mut bytes, address as u64) {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_body_is_wiped_with_the_last_of_its_requests() {
    let secret = "hunter2 ".repeat(64);
    let body = secret.clone().into_bytes();
    let (address, length) = (body.as_ptr() as usize, body.len());
    let holds_secret = || {
        let held = memory(address, length);
        held.chunks(8).any(|chunk| chunk == b"hunter2 ")
    };
    let request = Request::new(Method::POST, "https://host/", body, LIMITS).unwrap();
    let again = request.clone();
    drop(request);
    assert!(holds_secret());
    drop(again);
    assert!(!holds_secret());
}
