//! Options of the clients' sockets.
//!
//! A COPY ends with a message of five bytes. TCP delays it until the server has acknowledged the preceding rows (Nagle's
//! algorithm), and the server's kernel delays the acknowledgment by 40 ms. Each small INSERT and each checkpoint would
//! wait as long, and each TLS handshake twice as long. `TCP_NODELAY` avoids this. A server that has lost its power, or a firewall that has forgotten a
//! connection, never answers: keepalive and `TCP_USER_TIMEOUT` end such a connection.
//!
//! The clients do not set these options and do not expose their sockets. So the socket is searched among the file
//! descriptors opened during the connect. If it is not found, small writes take 40 ms, and only `socket_timeout` finds
//! out that the network is gone.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// The file descriptors of the connections that were open at a certain time.
#[derive(Debug)]
pub struct SocketsBefore(HashSet<i32>);

impl SocketsBefore {
    /// Waits for a connect to the port, and sets the options of new connections as soon as they are open: the messages of a
    /// TLS handshake are small, too. Returns their local ports.
    pub async fn during<T>(&self, port: u16, limit: Duration, connect: impl Future<Output = T>) -> (T, Vec<u16>) {
        let mut connect = pin!(connect);
        let connected = poll_fn(|context| {
            let polled = connect.as_mut().poll(context);
            if polled.is_pending() {
                self.set_since(port, limit);
            }
            polled
        });
        (connected.await, self.set_since(port, limit))
    }

    /// The connections to a port that are open now.
    pub fn now(port: u16) -> Self {
        let mut connections = HashSet::new();
        each_to(port, |descriptor, _| {
            connections.insert(descriptor);
        });
        Self(connections)
    }

    /// Sets the options of the connections to the port that were opened since then: a peer that does not acknowledge probes
    /// within `limit`, or data within a few seconds more, is gone. This includes connections that other threads opened to the port at the same time.
    /// Returns their local ports.
    pub fn set_since(&self, port: u16, limit: Duration) -> Vec<u16> {
        let mut ports = Vec::new();
        each_to(port, |descriptor, socket| {
            if !self.0.contains(&descriptor) {
                let local = socket.local_addr().ok().and_then(|local| local.as_socket());
                ports.extend(local.map(|local| local.port()));
                // If this fails, nothing changes.
                let _ = socket.set_tcp_nodelay(true);
                let _ = socket.set_tcp_keepalive(&keepalive(limit));
                let _ = set_user_timeout(socket, limit.saturating_add(MARGIN));
            }
        });
        ports
    }
}

/// The caller's own time limit ends a wait first, because its message says more.
const MARGIN: Duration = Duration::from_secs(5);

/// The first probe after half of the time, and the last one at its end.
fn keepalive(limit: Duration) -> TcpKeepalive {
    let [idle, interval] = keepalive_seconds(limit).map(Duration::from_secs);
    with_probes(TcpKeepalive::new().with_time(idle).with_interval(interval))
}

/// After how many seconds the first probe of an idle connection is sent, and the others, so that [`PROBES`] fail within the
/// limit.
pub fn keepalive_seconds(limit: Duration) -> [u64; 2] {
    let seconds = limit.as_secs();
    [seconds / 2, seconds / 2 / u64::from(PROBES)].map(|seconds| seconds.clamp(1, 32_767))
}

/// The number of probes without an answer that end a connection.
pub const PROBES: u32 = 3;

#[cfg(any(unix, windows))]
fn with_probes(keepalive: TcpKeepalive) -> TcpKeepalive {
    keepalive.with_retries(PROBES)
}

#[cfg(not(any(unix, windows)))]
fn with_probes(keepalive: TcpKeepalive) -> TcpKeepalive {
    keepalive
}

#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &SockRef<'_>, limit: Duration) -> std::io::Result<()> {
    socket.set_tcp_user_timeout(Some(limit))
}

#[cfg(not(target_os = "linux"))]
fn set_user_timeout(_: &SockRef<'_>, _: Duration) -> std::io::Result<()> {
    Ok(())
}

/// Calls `look` with each connection of this process to a port; with none if the system does not list descriptors.
#[cfg(unix)]
#[allow(unsafe_code)]
fn each_to(port: u16, mut look: impl FnMut(i32, &SockRef<'_>)) {
    use std::os::fd::BorrowedFd;

    let listed = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let open: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor >= 0) {
        // SAFETY: the descriptor was just open, and is not -1. Another thread may have closed it meanwhile, or even opened
        // another file under its number. Then the calls fail, or return another port, or it is a connection to the same
        // port, to which the options do no harm. Nothing is read, written or closed through it.
        let descriptor_of = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let socket = SockRef::from(&descriptor_of);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer.is_some_and(|peer| peer.port() == port) {
            look(descriptor, &socket);
        }
    }
}

#[cfg(not(unix))]
fn each_to(_: u16, _: impl FnMut(i32, &SockRef<'_>)) {}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_connection_has_the_options_while_its_handshake_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, limit) = (listener.local_addr().unwrap(), Duration::from_secs(66));
        let handshake = async {
            let stream = TcpStream::connect(address).unwrap();
            tokio::task::yield_now().await;
            stream.nodelay().unwrap()
        };
        let (has_options, ports) = SocketsBefore::now(address.port()).during(address.port(), limit, handshake).await;
        assert!(has_options);
        assert!(ports.is_empty(), "the handshake has closed it");
    }

    #[test]
    fn what_was_opened_since_to_the_port_has_the_options_and_nothing_else() {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [asked, other] = [0, 1].map(|index: usize| listeners[index].local_addr().unwrap());
        let old = TcpStream::connect(asked).unwrap();
        let before = SocketsBefore::now(asked.port());
        let [new, elsewhere] = [asked, other].map(|address| TcpStream::connect(address).unwrap());
        let ports = before.set_since(asked.port(), Duration::from_secs(66));
        assert_eq!(ports, [new.local_addr().unwrap().port()]);
        assert_eq!([&old, &new, &elsewhere].map(|stream| stream.nodelay().unwrap()), [false, true, false]);
        let keeps = |stream: &TcpStream| SockRef::from(stream).keepalive().unwrap();
        assert_eq!([&old, &new, &elsewhere].map(keeps), [false, true, false]);
        let new = SockRef::from(&new);
        assert_eq!(new.tcp_keepalive_time().unwrap(), Duration::from_secs(33));
        assert_eq!(new.tcp_keepalive_interval().unwrap(), Duration::from_secs(11));
        assert_eq!(new.tcp_keepalive_retries().unwrap(), 3);
        #[cfg(target_os = "linux")]
        assert_eq!(new.tcp_user_timeout().unwrap(), Some(Duration::from_secs(71)));
    }
}
