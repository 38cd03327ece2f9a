//! The signals that end a command. They end its waiting at once, and the process by their default
//! meaning, so that a shell sees what has ended it; but only once what is in flight is saved.

use std::io;

/// The signals that this process does not ignore. A program that is started in the background of a
/// script, or by `nohup`, ignores some.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    streams: Vec<(Signal, tokio::signal::unix::Signal)>,
}

/// A signal that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal(i32);

impl Signals {
    /// Returns the output of `work`, or the signal that comes first.
    pub(super) async fn unless_ended<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Signal> {
        tokio::select! {
            biased;
            signal = self.next() => Err(signal),
            output = work => Ok(output),
        }
    }
}

#[cfg(unix)]
impl Signals {
    /// Listens from now on; to SIGHUP only if it does not have the command `reloads` something.
    pub(super) fn listen(reloads: bool) -> io::Result<Self> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use tokio::signal::unix::{SignalKind, signal};
        let ignored = ignored();
        let heard = [SIGHUP, SIGINT, SIGTERM].map(Signal);
        let ends = |it: &Signal| ignored & it.bit() == 0 && !(reloads && it.0 == SIGHUP);
        let heard = heard.into_iter().filter(ends);
        let streams = heard.map(|it| Ok((it, signal(SignalKind::from_raw(it.0))?)));
        Ok(Self { streams: streams.collect::<io::Result<_>>()? })
    }

    async fn next(&mut self) -> Signal {
        use std::task::Poll;
        std::future::poll_fn(|context| {
            let mut streams = self.streams.iter_mut();
            let come = streams.find_map(|(signal, stream)| {
                stream.poll_recv(context).is_ready().then_some(*signal)
            });
            come.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(unix)]
impl Signal {
    const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    /// Ends this process as the signal does by default. Returns an exit code where that cannot be.
    pub(super) fn end_this_process(self) -> u8 {
        // To the first process of a container, signals do nothing by default.
        if !rustix::process::getpid().is_init() {
            signal_hook::low_level::emulate_default_handler(self.0).unwrap_or_default();
        }
        self.exit_code()
    }
}

/// Returns the signals that this process ignores, a bit for each; none where the system does not
/// tell.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    pub(super) const fn listen(_: bool) -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Signal {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Signal(2),
            // Ctrl-C keeps its default meaning.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
impl Signal {
    /// Returns the exit code of a process that a signal has ended.
    pub(super) fn end_this_process(self) -> u8 {
        self.exit_code()
    }
}

impl Signal {
    /// Returns the exit code by which a shell says that a signal has ended a process.
    fn exit_code(self) -> u8 {
        128 + u8::try_from(self.0).unwrap_or_default()
    }
}
