//! What systemd, where it has started this process, hands on, and is told.

#[cfg(target_os = "linux")]
pub(super) use self::linux::{Reloading, Started, listener};
#[cfg(not(target_os = "linux"))]
pub(super) use self::none::{Reloading, Started, listener};

#[cfg(target_os = "linux")]
mod linux {
    use std::os::unix::net::UnixListener;

    use listenfd::ListenFd;
    use sd_notify::NotifyState;

    use crate::error::{Error, ErrorKind, Result};

    /// Returns the socket that the service manager listens on for this process, if there is one. It is
    /// asked for once, before there are other threads: variables of the environment are removed.
    ///
    /// # Errors
    ///
    /// `invalid_option` if it is no Unix socket, or one of several.
    pub(crate) fn listener() -> Result<Option<UnixListener>> {
        let mut handed = ListenFd::from_env();
        let refuse = || {
            let message = "the service manager hands on other sockets than one Unix socket; correct the \
                           ListenStream= of the socket's unit";
            Error::new(ErrorKind::InvalidOption, message)
        };
        if handed.len() > 1 {
            return Err(refuse());
        }
        handed.take_unix_listener(0).map_err(|_| refuse())
    }

    /// The service manager knows that the agent serves, until this is dropped.
    #[derive(Debug)]
    pub(crate) struct Started(());

    impl Started {
        pub(crate) fn new() -> Self {
            tell(&[NotifyState::Ready]);
            Self(())
        }
    }

    impl Drop for Started {
        fn drop(&mut self) {
            tell(&[NotifyState::Stopping]);
        }
    }

    /// The service manager knows that the agent reads its configuration, until this is dropped.
    #[derive(Debug)]
    pub(crate) struct Reloading(());

    impl Reloading {
        pub(crate) fn new() -> Self {
            // Without the time systemd would not believe it.
            match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(error) => tracing::debug!(%error, "there is no clock"),
            }
            Self(())
        }
    }

    impl Drop for Reloading {
        fn drop(&mut self) {
            tell(&[NotifyState::Ready]);
        }
    }

    fn tell(state: &[NotifyState<'_>]) {
        // Without a service manager nothing is sent, and that is no error.
        if let Err(error) = sd_notify::notify(state) {
            tracing::warn!(%error, "the service manager in $NOTIFY_SOCKET cannot be told: {state:?}");
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::os::unix::net::UnixListener;

    use crate::error::Result;

    /// Returns none: only systemd hands on a socket in this way.
    pub(crate) fn listener() -> Result<Option<UnixListener>> {
        Ok(None)
    }

    #[derive(Debug)]
    pub(crate) struct Started;

    impl Started {
        pub(crate) fn new() -> Self {
            Self
        }
    }

    #[derive(Debug)]
    pub(crate) struct Reloading;

    impl Reloading {
        pub(crate) fn new() -> Self {
            Self
        }
    }
}
