//! How much one client may ask for. Every address counts; of IPv6, every network of 64 bits, which one host can use
//! whole.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A client, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey(IpAddr);

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) if !v6.is_loopback() => {
                IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))
            }
            other => other,
        })
    }
}

/// Why there is no place for another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionRefusal {
    /// All places are taken.
    TooMany,
    /// The client has all of its places.
    TooManyOfClient,
}

/// The open connections.
#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    most: usize,
    most_of_client: usize,
    open: Mutex<OpenConnections>,
}

#[derive(Debug, Default)]
struct OpenConnections {
    count: usize,
    by_client: HashMap<ClientKey, usize>,
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct ConnectionPlace {
    limits: Arc<ConnectionLimits>,
    client: ClientKey,
}

impl ConnectionLimits {
    pub(crate) fn new(most: u32, most_of_client: u32) -> Self {
        Self {
            most: most as usize,
            most_of_client: most_of_client as usize,
            open: Mutex::default(),
        }
    }

    /// A place for a connection of this client.
    pub(crate) fn place(
        self: &Arc<Self>,
        client: IpAddr,
    ) -> Result<ConnectionPlace, ConnectionRefusal> {
        let client = ClientKey::from(client);
        let mut open = self.open.lock();
        if open.count >= self.most {
            return Err(ConnectionRefusal::TooMany);
        }
        let of_client = open.by_client.entry(client).or_default();
        if *of_client >= self.most_of_client {
            return Err(ConnectionRefusal::TooManyOfClient);
        }
        *of_client += 1;
        open.count += 1;
        Ok(ConnectionPlace {
            limits: Arc::clone(self),
            client,
        })
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock();
        open.count -= 1;
        if let Some(of_client) = open.by_client.get_mut(&self.client) {
            *of_client -= 1;
            if *of_client == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

/// Most clients that are counted at the same time. Others wait for the next window.
const MOST_CLIENTS: usize = 65_536;

/// Counts events of clients in windows of fixed length.
#[derive(Debug)]
pub(crate) struct ClientRate {
    most: u32,
    window: Duration,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    since: Instant,
    current: HashMap<ClientKey, u32>,
    previous: HashMap<ClientKey, u32>,
}

impl ClientRate {
    pub(crate) fn new(most: u32, window: Duration) -> Self {
        Self {
            most,
            window,
            counts: Mutex::new(Counts {
                since: Instant::now(),
                current: HashMap::new(),
                previous: HashMap::new(),
            }),
        }
    }

    /// Whether the client has less than its limit in the last window, by the share of the one before that is in it.
    pub(crate) fn has_room(&self, client: IpAddr) -> bool {
        let client = ClientKey::from(client);
        let mut counts = self.counts.lock();
        let elapsed = counts.roll(self.window);
        let share = 1.0 - elapsed.as_secs_f64() / self.window.as_secs_f64();
        let count = |of: &HashMap<ClientKey, u32>| of.get(&client).copied().unwrap_or_default();
        let recent = f64::from(count(&counts.current)) + share * f64::from(count(&counts.previous));
        let is_counted =
            counts.current.len() < MOST_CLIENTS || counts.current.contains_key(&client);
        is_counted && recent < f64::from(self.most)
    }

    /// Counts one event.
    pub(crate) fn count(&self, client: IpAddr) {
        let mut counts = self.counts.lock();
        counts.roll(self.window);
        let count = counts.current.entry(client.into()).or_default();
        *count = count.saturating_add(1);
    }
}

impl Counts {
    /// Begins a new window where the current one is over. The time since its beginning.
    fn roll(&mut self, window: Duration) -> Duration {
        let elapsed = self.since.elapsed();
        if elapsed < window {
            return elapsed;
        }
        let current = std::mem::take(&mut self.current);
        self.previous = match elapsed < 2 * window {
            true => current,
            false => HashMap::new(),
        };
        let over = match elapsed < 2 * window {
            true => elapsed - window,
            false => Duration::ZERO,
        };
        self.since = Instant::now()
            .checked_sub(over)
            .unwrap_or_else(Instant::now);
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_client_does_not_take_the_places_of_another() {
        let limits = Arc::new(ConnectionLimits::new(3, 2));
        let place = |client: &str| limits.place(ip(client));
        let first = place("10.0.0.1").unwrap();
        let _mapped = place("::ffff:10.0.0.1").unwrap();
        assert_eq!(
            place("10.0.0.1").unwrap_err(),
            ConnectionRefusal::TooManyOfClient
        );
        let other = place("2001:db8::1").unwrap();
        assert_eq!(place("10.0.0.2").unwrap_err(), ConnectionRefusal::TooMany);
        drop(first);
        let _same_network = place("2001:db8::2").unwrap();
        drop(other);
        assert_eq!(limits.open.lock().by_client.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_recovers_with_time() {
        let rate = ClientRate::new(10, Duration::from_secs(60));
        let (client, other) = (ip("10.0.0.1"), ip("10.0.0.2"));
        for _ in 0..10 {
            assert!(rate.has_room(client));
            rate.count(client);
        }
        assert!(!rate.has_room(client) && rate.has_room(other));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(rate.has_room(client));
        rate.count(client);
        assert!(
            !rate.has_room(client),
            "most of the window before still counts"
        );
        tokio::time::advance(Duration::from_secs(120)).await;
        assert!(rate.has_room(client));
    }
}
