//! The admin port, while a client opens one connection after the other.

use std::net::TcpStream;

use super::{Running, get};

#[test]
fn livez_answers_during_two_hundred_silent_connections_to_the_admin_port() {
    // There are fewer file descriptors than connections. Without a connection limit of its own, the program would use
    // up its file descriptors and accept no more connections.
    let mut planner = Running::start("ulimit -n 160", "2>/dev/null", &[]);
    let silent: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(planner.admin).unwrap())
        .collect();
    for page in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(get(planner.admin, page).unwrap(), "HTTP/1.0 200 OK", "{page}");
    }
    drop(silent);
    assert_eq!(planner.stop(), Some(0));
}
