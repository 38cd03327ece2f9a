//! Which addresses are this machine, or the one that it is a container of: on the way to any other one
//! a bearer and the tokens could be read, since they are not encrypted.

use std::net::{IpAddr, Ipv4Addr};

/// The names by which a container of Docker Desktop, and one of Podman, reaches its host. They end in
/// a domain that no server of the internet has.
const HOSTS: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// The routes of this machine, as Linux tells them.
const ROUTES: &str = "/proc/net/route";

/// The way to an address, as it is named.
#[derive(Debug)]
pub(super) struct Nearness {
    is_host: bool,
    gateway: Option<Ipv4Addr>,
}

impl Nearness {
    /// Returns what is near to a program that names the host and the port `authority`.
    pub(super) fn of(authority: &str) -> Self {
        let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
        let is_host = HOSTS.iter().any(|host| name.eq_ignore_ascii_case(host));
        Self { is_host, gateway: gateway_in(&std::fs::read_to_string(ROUTES).unwrap_or_default()) }
    }

    /// Returns whether `address` is this machine, or its host.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_gateway = matches!(address, IpAddr::V4(it) if Some(it) == self.gateway);
        address.is_loopback() || is_gateway || (self.is_host && is_private(address))
    }
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_private() || address.is_link_local(),
        IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
    }
}

/// Returns the gateway of the default route in `table`, which is what Linux says in `/proc/net/route`.
/// For a container that is its host.
fn gateway_in(table: &str) -> Option<Ipv4Addr> {
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, "00000000", gateway, ..] = *fields else { return None };
        // The number is in the byte order of this machine.
        let gateway = u32::from_str_radix(gateway, 16).ok().filter(|gateway| *gateway != 0)?;
        Some(Ipv4Addr::from(gateway.to_ne_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_and_its_host_are_near() {
        let gateway = Some(Ipv4Addr::new(172, 17, 0, 1));
        let has = |is_host, address: &str| {
            Nearness { is_host, gateway }.has(address.parse().expect("an address"))
        };
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "172.17.0.1", "::ffff:172.17.0.1"] {
            assert!(has(false, near) && has(true, near), "{near}");
        }
        for host in ["192.168.65.254", "169.254.1.2", "10.0.2.2", "fd00::1", "fe80::1"] {
            assert!(has(true, host) && !has(false, host), "{host}");
        }
        for far in ["8.8.8.8", "172.32.0.1", "2001:4860::1", "0.0.0.0", "::"] {
            assert!(!has(false, far) && !has(true, far), "{far}");
        }
    }

    #[test]
    fn a_host_is_known_by_its_name() {
        for (authority, is_host) in [
            ("host.docker.internal:80", true),
            ("Host.Containers.Internal:80", true),
            ("evil.host.docker.internal:80", false),
            ("build.lan:80", false),
            ("[::1]:80", false),
        ] {
            assert_eq!(Nearness::of(authority).is_host, is_host, "{authority}");
        }
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route() {
        let number = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let (near, gateway) = (number([172, 17, 0, 0]), number([172, 17, 0, 1]));
        let table = format!(
            "Iface\tDestination\tGateway \tFlags\n\
             eth0\t{near}\t00000000\t0001\n\
             tun0\t00000000\t00000000\t0001\n\
             eth0\t00000000\t{gateway}\t0003\n"
        );
        assert_eq!(gateway_in(&table), Some(Ipv4Addr::new(172, 17, 0, 1)));
        for table in ["", "eth0", "eth0\t00000000\tx\t0003\n"] {
            assert_eq!(gateway_in(table), None, "{table}");
        }
    }
}
