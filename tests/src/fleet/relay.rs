//! A network that can be cut, in one direction or in both, or be slow: a relay on loopback.
//!
//! What was sent into a cut is delivered once that is mended, as TCP does, unless its sender has closed
//! the connection by then.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::crash::signal::pause;

/// How often a cut connection is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A way that bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the server.
    There,
    /// From the server.
    Back,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::There, Self::Back];
}

/// Where a relay leads.
#[derive(Debug, Clone)]
enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Both ends of a connection are of one of these kinds.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A relay to one server. It takes no more connections once this is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    valves: [Arc<Valve>; 2],
    is_over: Arc<AtomicBool>,
}

/// Lets bytes through, or holds them.
#[derive(Debug, Default)]
struct Valve {
    state: Mutex<Flow>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Flow {
    is_cut: bool,
    delay: Duration,
}

impl Relay {
    /// One to a server on loopback.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn to(server: SocketAddr) -> Self {
        Self::lead(Target::Tcp(server))
    }

    /// One to a server's socket.
    ///
    /// # Panics
    ///
    /// If it cannot listen.
    #[must_use]
    pub fn to_socket(server: PathBuf) -> Self {
        Self::lead(Target::Unix(server))
    }

    fn lead(target: Target) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (valves, is_over) = (<[Arc<Valve>; 2]>::default(), Arc::<AtomicBool>::default());
        let relay = Self { address, valves: valves.clone(), is_over: Arc::clone(&is_over) };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (server, valves) = (target_of(&target), valves.clone());
                thread::spawn(move || drop(join(client, server, &valves)));
            }
        });
        relay
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing through in this direction. A connection that is made now is of no use.
    pub fn cut(&self, direction: Direction) {
        self.valve(direction).set(|flow| flow.is_cut = true);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.valves.iter().for_each(|valve| valve.set(|flow| flow.is_cut = false));
    }

    /// Has all that goes in this direction take so much longer.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.valve(direction).set(|flow| flow.delay = delay);
    }

    fn valve(&self, direction: Direction) -> &Valve {
        &self.valves[usize::from(direction == Direction::Back)]
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.mend();
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

impl Valve {
    fn set(&self, change: impl FnOnce(&mut Flow)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }

    /// Waits until bytes from `source` may go on. Returns whether they may: their sender may have closed
    /// the connection meanwhile.
    fn passes(&self, source: &Stream) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let was_cut = state.is_cut;
        while state.is_cut {
            let woken = self.changed.wait_timeout(state, LOOK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let delay = state.delay;
        drop(state);
        if !delay.is_zero() {
            pause(delay);
        }
        !was_cut || !source.is_closed()
    }
}

fn target_of(target: &Target) -> io::Result<Stream> {
    match target {
        Target::Tcp(address) => TcpStream::connect(address).map(Stream::Tcp),
        Target::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
    }
}

/// Hands on what either end sends, until one closes.
fn join(client: TcpStream, server: io::Result<Stream>, valves: &[Arc<Valve>; 2]) -> io::Result<()> {
    let (client, server) = (Stream::Tcp(client), server?);
    let [there, back] = valves;
    thread::scope(|scope| {
        scope.spawn(|| hand_on(&client, &server, there));
        hand_on(&server, &client, back);
    });
    Ok(())
}

fn hand_on(source: &Stream, target: &Stream, valve: &Valve) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = source.read(&mut buffer)
        && read > 0
        && valve.passes(source)
        && target.write(&buffer[..read]).is_ok()
    {}
    source.close();
    target.close();
}

impl Stream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).read(buffer),
            Self::Unix(stream) => (&mut &*stream).read(buffer),
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => (&mut &*stream).write_all(bytes),
            Self::Unix(stream) => (&mut &*stream).write_all(bytes),
        }
    }

    /// Whether the other end of a client's connection has closed it.
    fn is_closed(&self) -> bool {
        let Self::Tcp(stream) = self else { return false };
        let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let restored = stream.set_nonblocking(false);
        restored.is_err() || matches!(peeked, Ok(0))
    }

    fn close(&self) {
        // It fails only if it is closed already.
        match self {
            Self::Tcp(stream) => drop(stream.shutdown(Shutdown::Both)),
            Self::Unix(stream) => drop(stream.shutdown(Shutdown::Both)),
        }
    }
}
