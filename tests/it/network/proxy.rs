//! A proxy between Landfall and a server. It knows the messages of their protocols, and lets the network fail at one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Postgres,
    MySql,
}

/// Where the network fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// At a message of the client: its text begins with this one, and so many before it did, too. Data of a COPY or a LOAD
    /// DATA is `<data>`, the end of a COPY is `<end>`.
    Message(&'static str, usize),
    /// After so many bytes of all clients.
    Byte(usize),
}

/// How it fails, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut, and the message does not arrive.
    CutBefore,
    /// The message arrives, and the connection is cut before its answer.
    CutAfter,
    /// Nothing arrives any more, in either direction, and no side hears of it.
    StallBefore,
    /// The same, but the message still arrives.
    StallAfter,
    /// The message arrives after [`LATE`], when its sender has given up.
    Late,
}

/// How late a message is.
pub const LATE: Duration = Duration::from_secs(8);

/// When a server's own keepalive would find out that its client is gone.
const KEEPALIVE: Duration = Duration::from_secs(3);

pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    wire: Wire,
    server: u16,
    /// What will fail, and how many messages or bytes come before it.
    plan: Mutex<Option<(At, Fault)>>,
    failed: AtomicU32,
    /// When the last late message has been delivered.
    delivered: Mutex<Option<Instant>>,
    is_over: AtomicBool,
}

impl Proxy {
    /// Passes all on to a port of this machine, until it is told to fail.
    pub fn new(wire: Wire, server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            wire,
            server,
            plan: Mutex::default(),
            failed: AtomicU32::new(0),
            delivered: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let of_all = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if of_all.is_over.load(SeqCst) {
                    return;
                }
                let state = Arc::clone(&of_all);
                // A connection that fails is one that is closed.
                thread::spawn(move || drop(state.connect(client)));
            }
        });
        Self { port, state }
    }

    /// Lets the network fail once.
    pub fn fail(&self, at: At, fault: Fault) {
        *self.state.plan.lock().unwrap() = Some((at, fault));
    }

    /// Lets it fail no more, if it has not failed yet: a run may send fewer bytes than the one that was measured.
    pub fn heal(&self) {
        *self.state.plan.lock().unwrap() = None;
    }

    /// How often it has failed.
    pub fn failures(&self) -> u32 {
        self.state.failed.load(SeqCst)
    }

    /// Waits until a late message has arrived.
    pub fn wait_for_late(&self) {
        let until = *self.state.delivered.lock().unwrap();
        if let Some(until) = until {
            thread::sleep(until.saturating_duration_since(Instant::now()) + Duration::from_millis(300));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.is_over.store(true, SeqCst);
        // It accepts the last one.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What the two directions of a connection tell each other.
#[derive(Default)]
struct Link {
    /// The next answer cuts the connection.
    cuts: AtomicBool,
    /// Answers do not arrive.
    is_silent: AtomicBool,
}

impl State {
    fn connect(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.server))?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let link = Link::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _ = answers(&server, &client, &link);
                close(&server, &client);
            });
            let _ = self.requests(&client, &server, &link);
            close(&server, &client);
        });
        Ok(())
    }

    /// Passes the client's messages on.
    fn requests(&self, mut client: &TcpStream, mut server: &TcpStream, link: &Link) -> io::Result<()> {
        let (mut is_first, mut has_begun) = (true, false);
        loop {
            let message = match self.wire {
                Wire::Postgres => postgres_message(&mut client, &mut is_first)?,
                Wire::MySql => mysql_message(&mut client, &mut has_begun)?,
            };
            let Some((fault, passes)) = self.take(&message) else {
                server.write_all(&message.bytes)?;
                continue;
            };
            self.failed.fetch_add(1, SeqCst);
            match fault {
                Fault::CutBefore => {
                    server.write_all(&message.bytes[..passes])?;
                    return Ok(());
                }
                Fault::CutAfter => {
                    let is_answered = message.text != "<data>";
                    link.cuts.store(is_answered, SeqCst);
                    server.write_all(&message.bytes)?;
                    if !is_answered {
                        return Ok(());
                    }
                }
                Fault::StallBefore | Fault::StallAfter => {
                    link.is_silent.store(true, SeqCst);
                    let passes = if fault == Fault::StallAfter { message.bytes.len() } else { passes };
                    server.write_all(&message.bytes[..passes])?;
                    self.stall(client);
                    return Ok(());
                }
                Fault::Late => {
                    *self.delivered.lock().unwrap() = Some(Instant::now() + LATE);
                    thread::sleep(LATE);
                    server.write_all(&message.bytes)?;
                }
            }
        }
    }

    /// Reads nothing, until a while after the client has gone.
    fn stall(&self, client: &TcpStream) {
        let mut gone = None;
        while !self.is_over.load(SeqCst) && gone.is_none_or(|gone: Instant| gone.elapsed() < KEEPALIVE) {
            if has_left(client) {
                gone.get_or_insert_with(Instant::now);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The fault, if it is the turn of this message, and how many of its bytes still pass before a cut.
    fn take(&self, message: &Message) -> Option<(Fault, usize)> {
        let mut plan = self.plan.lock().unwrap();
        let (at, fault) = plan.as_mut()?;
        let passes = match at {
            At::Message(begin, before) => {
                let is_it = match *begin {
                    "COMMIT" => message.text == "COMMIT",
                    begin => message.text.starts_with(begin),
                };
                if !is_it {
                    return None;
                }
                if *before > 0 {
                    *before -= 1;
                    return None;
                }
                0
            }
            At::Byte(before) => {
                if let Some(left) = before.checked_sub(message.bytes.len()) {
                    *before = left;
                    return None;
                }
                *before
            }
        };
        let fault = *fault;
        *plan = None;
        Some((fault, passes))
    }
}

/// Passes the server's answers on.
fn answers(mut server: &TcpStream, mut client: &TcpStream, link: &Link) -> io::Result<()> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = server.read(&mut bytes)?;
        if count == 0 || link.cuts.load(SeqCst) {
            return Ok(());
        }
        if !link.is_silent.load(SeqCst) {
            client.write_all(&bytes[..count])?;
        }
    }
}

/// Ends both sides.
fn close(server: &TcpStream, client: &TcpStream) {
    // They may be closed.
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

/// Whether the client has closed its side. This side does not hear of it before it has read what came before.
fn has_left(client: &TcpStream) -> bool {
    let (Ok(peer), Ok(local)) = (client.peer_addr(), client.local_addr()) else { return true };
    let [peer, local] = [peer, local].map(|address| format!(":{:04X}", address.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut of_client = rows.filter(|row| row.len() > 3 && row[1].ends_with(&peer) && row[2].ends_with(&local));
    const ESTABLISHED: &str = "01";
    of_client.next().is_none_or(|row| row[3] != ESTABLISHED)
}

/// A message of a client.
struct Message {
    bytes: Vec<u8>,
    /// The statement, or what the message is.
    text: String,
}

fn read_exact(client: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let begin = bytes.len();
    bytes.resize(begin + count, 0);
    client.read_exact(&mut bytes[begin..])
}

/// Up to the first zero byte.
fn c_string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>
fn postgres_message(client: &mut impl Read, is_first: &mut bool) -> io::Result<Message> {
    let mut bytes = Vec::new();
    // The first message has no type.
    let head = if *is_first { 4 } else { 5 };
    read_exact(client, &mut bytes, head)?;
    let length = u32::from_be_bytes(bytes[head - 4..].try_into().unwrap()) as usize;
    read_exact(client, &mut bytes, length - 4)?;
    if *is_first {
        *is_first = false;
        return Ok(Message { bytes, text: String::new() });
    }
    let text = match bytes[0] {
        b'Q' => c_string(&bytes[5..]),
        b'P' => {
            let name = bytes[5..].iter().position(|byte| *byte == 0).unwrap_or_default();
            c_string(&bytes[5 + name + 1..])
        }
        b'd' => "<data>".to_owned(),
        b'c' => "<end>".to_owned(),
        _ => String::new(),
    };
    Ok(Message { bytes, text })
}

/// <https://mariadb.com/kb/en/0-packet/>
fn mysql_message(client: &mut impl Read, has_begun: &mut bool) -> io::Result<Message> {
    const COM_QUERY: u8 = 0x03;
    const COM_STMT_PREPARE: u8 = 0x16;
    let mut bytes = Vec::new();
    read_exact(client, &mut bytes, 4)?;
    let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) as usize;
    read_exact(client, &mut bytes, length)?;
    let is_command = bytes[3] == 0;
    *has_begun |= is_command;
    let text = match bytes.get(4) {
        Some(&(COM_QUERY | COM_STMT_PREPARE)) if is_command => String::from_utf8_lossy(&bytes[5..]).into_owned(),
        Some(_) if !is_command && *has_begun => "<data>".to_owned(),
        None if !is_command && *has_begun => "<end>".to_owned(),
        _ => String::new(),
    };
    Ok(Message { bytes, text })
}
