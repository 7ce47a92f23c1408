//! The admin port when somebody connects to it again and again.

use std::net::TcpStream;

use super::{Running, get};

#[test]
fn two_hundred_silent_connections_to_the_admin_port_leave_livez_answering() {
    // Fewer file descriptors than connections: without a limit of its own, the program couldn't accept any more.
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
