//! The boot clock of the system.

use std::sync::OnceLock;
use std::time::Duration;

use chrono::Utc;

use super::moment::BootId;

/// Returns the time since the machine started, which includes the time in which it slept.
#[cfg(unix)]
pub(super) fn time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const BOOT: ClockId = ClockId::Boottime;
    // Elsewhere this one goes on in the machine's sleep.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const BOOT: ClockId = ClockId::Monotonic;

    Duration::try_from(clock_gettime(BOOT)).unwrap_or_default()
}

/// Returns the time since its first call. Windows includes the time in which the machine slept.
#[cfg(not(unix))]
pub(super) fn time() -> Duration {
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Returns the boot of this machine if the system names it, else one for this process alone. Such a
/// process measures the skew for itself.
pub(super) fn id() -> BootId {
    static ID: OnceLock<BootId> = OnceLock::new();
    *ID.get_or_init(|| {
        let named = std::fs::read("/proc/sys/kernel/random/boot_id");
        let here = || BootId::of(&Utc::now().timestamp_micros().to_le_bytes());
        named.map_or_else(|_| here(), |name| BootId::of(name.trim_ascii()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_goes_on_and_its_boot_stays() {
        let (earlier, boot) = (time(), id());
        assert!(time() >= earlier && id() == boot);
    }
}
