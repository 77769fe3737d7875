//! Sends small messages without delay.
//!
//! A COPY ends with a message of five bytes. TCP delays it until the server has acknowledged the preceding rows (Nagle's
//! algorithm), and the server's kernel delays the acknowledgment by 40 ms. Each small INSERT and each checkpoint would
//! wait as long. `TCP_NODELAY` avoids this, but the client (sqlx) does not set it and does not expose its socket. So the
//! socket is searched among the file descriptors opened during the connect. If it is not found, small writes take 40 ms.

use std::collections::HashSet;

/// The file descriptors of the connections that were open at a certain time.
#[derive(Debug)]
pub(super) struct Before(HashSet<i32>);

impl Before {
    /// The connections to a port that are open now.
    pub(super) fn now(port: u16) -> Self {
        let mut connections = HashSet::new();
        each_to(port, |descriptor, _| {
            connections.insert(descriptor);
        });
        Self(connections)
    }

    /// Sets `TCP_NODELAY` for the connections to the port that were opened since then. This includes connections that
    /// other threads opened to the port at the same time.
    pub(super) fn set_since(&self, port: u16) {
        each_to(port, |descriptor, socket| {
            if !self.0.contains(&descriptor) {
                // If this fails, nothing changes.
                let _ = socket.set_tcp_nodelay(true);
            }
        });
    }
}

/// Calls `look` with each connection of this process to a port; with none if the system does not list descriptors.
#[cfg(unix)]
#[allow(unsafe_code)]
fn each_to(port: u16, mut look: impl FnMut(i32, &socket2::Socket)) {
    use std::os::fd::BorrowedFd;

    let listed = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= 0) {
        // SAFETY: the descriptor was just open, and is not -1. Another thread may have closed it meanwhile, or even opened
        // another file under its number. Then the calls fail, or return another port, or it is a connection to the same
        // port, to which the option does no harm. Nothing is read, written or closed through it.
        let descriptor_of = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = socket2::SockRef::from(&descriptor_of);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer.is_some_and(|peer| peer.port() == port) {
            look(descriptor, &socket);
        }
    }
}

#[cfg(not(unix))]
fn each_to(_: u16, _: impl FnMut(i32, &socket2::Socket)) {}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_was_opened_since_to_the_port_sends_at_once_and_nothing_else() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [asked, other] = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap());
        let old = TcpStream::connect(asked).unwrap();
        let before = Before::now(asked.port());
        let [new, elsewhere] = [asked, other].map(|address| TcpStream::connect(address).unwrap());
        before.set_since(asked.port());
        assert_eq!([&old, &new, &elsewhere].map(|stream| stream.nodelay().unwrap()), [false, true, false]);
    }
}
