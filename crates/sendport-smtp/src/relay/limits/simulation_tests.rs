//! Instances and a relay that takes 3 connections and 30 messages a minute, by a clock that takes
//! an hour in no time. Limits that are configured are divided; others each instance learns for
//! itself.

use std::time::{Duration, Instant};

use sendport_core::domain::{Limit, Membership};

use super::budget::{Budget, LimitRefusal, Ticket, TransactionUsage};
use crate::settings::limits::{Connections, Limits, Rate};

const TICK: Duration = Duration::from_millis(50);
const MINUTE: Duration = Duration::from_secs(60);
/// How long an instance waits that was refused its only connection; it doubles with each one.
const FIRST_REST: Duration = Duration::from_secs(2);
const LONGEST_REST: Duration = Duration::from_secs(240);
const CONNECTIONS: u32 = 3;
const MESSAGES: usize = 30;
/// How often an instance whose share is settled asks who else lives.
const RENEWAL: Duration = Duration::from_secs(20);

/// The relay: refuses what is too much, and counts it.
struct Model {
    /// Most in a minute.
    messages: usize,
    open: u32,
    /// Of all ticks together.
    used: u32,
    ticks: u32,
    taken: Vec<Instant>,
    refused_connections: u32,
    refused_messages: Vec<Instant>,
}

impl Model {
    fn new(messages: usize) -> Self {
        Self {
            messages,
            open: 0,
            used: 0,
            ticks: 0,
            taken: Vec::new(),
            refused_connections: 0,
            refused_messages: Vec::new(),
        }
    }

    fn connect(&mut self) -> bool {
        let room = self.open < CONNECTIONS;
        self.open += u32::from(room);
        self.refused_connections += u32::from(!room);
        room
    }

    fn mail(&mut self, now: Instant) -> bool {
        let recent = self.taken.iter().rev();
        let recent = recent.take_while(|at| now - **at < MINUTE).count();
        if recent < self.messages {
            self.taken.push(now);
        } else {
            self.refused_messages.push(now);
        }
        recent < self.messages
    }
}

struct Message {
    ticket: Ticket,
    ends: Instant,
    accepted: bool,
}

/// An instance with more to send than it may.
struct Instance {
    budget: Budget,
    published: u32,
    lives: bool,
    rest: Duration,
    rests_until: Instant,
    under_way: Vec<Message>,
    rate_tries: usize,
    connection_tries: usize,
    taken: usize,
    chance: u64,
}

impl Instance {
    fn new(limits: &Limits, seed: u64) -> Self {
        Self {
            budget: Budget::new(limits.clone()),
            published: 1,
            lives: true,
            rest: FIRST_REST,
            rests_until: Instant::now(),
            under_way: Vec::new(),
            rate_tries: 0,
            connection_tries: 0,
            taken: 0,
            chance: seed,
        }
    }

    fn is_settled(&self, living: u32) -> bool {
        self.published == living
    }

    fn open(&self) -> u32 {
        u32::try_from(self.under_way.len()).unwrap()
    }

    /// 100 ms to 1.6 s, from a small linear congruential generator.
    fn duration(&mut self) -> Duration {
        self.chance = self
            .chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Duration::from_millis(100 + (self.chance >> 33) % 1500)
    }

    fn finish(&mut self, now: Instant, model: &mut Model) {
        while let Some(done) = self.under_way.iter().position(|m| m.ends <= now) {
            let message = self.under_way.swap_remove(done);
            model.open -= 1;
            let refusal = (!message.accepted).then_some(LimitRefusal {
                limit: Limit::Rate,
                before_mail: false,
                others: self.open(),
                recipients: 0,
                reply: "451 4.7.500 Server busy",
            });
            let ended = TransactionUsage {
                sent: 1,
                accepted: message.accepted,
                refusal,
                ended_behind: None,
            };
            self.budget.end(now, message.ticket, &ended);
        }
    }

    fn begin(&mut self, now: Instant, model: &mut Model) {
        while self.lives && now >= self.rests_until && self.open() < self.budget.connections(now) {
            let Ok(ticket) = self.budget.begin(now, self.open()) else {
                return;
            };
            self.rate_tries += usize::from(ticket.tries_rate());
            self.connection_tries += usize::from(ticket.tries_connection());
            if model.connect() {
                self.rest = FIRST_REST;
                self.taken += 1;
                self.budget.connections_work(now, self.open() + 1);
                let accepted = model.mail(now);
                let ends = now + self.duration();
                self.under_way.push(Message {
                    ticket,
                    ends,
                    accepted,
                });
            } else {
                self.connection_refused(now, ticket);
                return;
            }
        }
    }

    fn connection_refused(&mut self, now: Instant, ticket: Ticket) {
        if self.open() == 0 {
            // The circuit opens, and one message probes.
            self.rests_until = now + self.rest;
            self.rest = (self.rest * 2).min(LONGEST_REST);
            return self.budget.end(now, ticket, &TransactionUsage::default());
        }
        let refusal = LimitRefusal {
            limit: Limit::Connections,
            before_mail: true,
            others: self.open(),
            recipients: 0,
            reply: "421 4.3.2 too many connections",
        };
        let ended = TransactionUsage {
            refusal: Some(refusal),
            ..TransactionUsage::default()
        };
        self.budget.end(now, ticket, &ended);
    }
}

/// All of them, and what they publish.
struct World {
    now: Instant,
    model: Model,
    instances: Vec<Instance>,
    ended: Option<Instant>,
}

impl World {
    fn new(limits: &Limits, instances: usize) -> Self {
        let mut world = Self {
            now: Instant::now() + Duration::from_secs(7200),
            model: Model::new(MESSAGES),
            instances: (0..instances as u64)
                .map(|n| Instance::new(limits, n + 1))
                .collect(),
            ended: None,
        };
        (0..instances).for_each(|index| world.exchange(index));
        world
    }

    fn join(&mut self, limits: &Limits) {
        let mut instance = Instance::new(limits, 99);
        instance.budget.leave();
        self.instances.push(instance);
    }

    /// It crashes with what it has under way; the relay notices.
    fn kill(&mut self, index: usize) {
        self.instances[index].lives = false;
        self.model.open -= self.instances[index].open();
        self.instances[index].under_way.clear();
        self.ended = Some(self.now);
    }

    fn living(&self) -> u32 {
        u32::try_from(self.instances.iter().filter(|i| i.lives).count()).unwrap()
    }

    fn membership(&self, index: usize) -> Membership {
        let lives = |(_, i): &(usize, &Instance)| i.lives;
        let living: Vec<_> = self.instances.iter().enumerate().filter(lives).collect();
        let count = u32::try_from(living.len()).unwrap();
        let others = living.iter().filter(|(other, _)| *other != index);
        Membership {
            instances: count,
            rank: u32::try_from(living.iter().filter(|(other, _)| *other < index).count()).unwrap(),
            acknowledged: others.clone().all(|(_, other)| other.published >= count),
            others_ended: self.ended.map(|at| self.now - at),
        }
    }

    /// As the heartbeat does it.
    fn exchange(&mut self, index: usize) {
        let membership = self.membership(index);
        let me = &mut self.instances[index];
        me.budget.apply_share(self.now, membership, me.published);
        if me.budget.is_within_share(self.now, me.open()) {
            me.published = membership.instances;
        }
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        let mut ticks = 0;
        while self.now < end {
            for index in 0..self.instances.len() {
                let due = ticks % 20 == u32::try_from(index).unwrap();
                let renews = ticks % (20 * u32::try_from(RENEWAL.as_secs()).unwrap()) < 20;
                let me = &self.instances[index];
                if due && me.lives && (renews || !me.is_settled(self.living())) {
                    self.exchange(index);
                }
                let me = &mut self.instances[index];
                if due {
                    me.budget.tick(self.now);
                }
                me.finish(self.now, &mut self.model);
                me.begin(self.now, &mut self.model);
            }
            self.model.used += self.model.open;
            self.model.ticks += 1;
            self.now += TICK;
            ticks += 1;
        }
    }

    /// Part of what the relay takes that was used since `since`.
    fn used_since(&self, since: Instant) -> f64 {
        let taken = self.model.taken.iter().filter(|at| **at >= since).count();
        let minutes = (self.now - since).as_secs_f64() / 60.0;
        f64::from(u32::try_from(taken).unwrap()) / (minutes * 30.0)
    }
}

fn configured() -> Limits {
    Limits {
        connections: Connections::OfAll(CONNECTIONS),
        connect_rate: None,
        message_rate: Some(Rate {
            count: 30,
            per: MINUTE,
        }),
        recipients: None,
    }
}

#[test]
fn two_instances_with_the_limits_configured_never_ask_for_too_much() {
    let limits = configured();
    let mut world = World::new(&limits, 1);
    world.instances[0].budget.leave();
    let start = world.now;
    world.run(MINUTE * 5);
    world.join(&limits);
    world.run(MINUTE * 10);
    assert!(world.instances.iter().all(|it| it.published == 2));
    world.kill(0);
    world.run(MINUTE * 5);
    world.join(&limits);
    world.run(MINUTE * 10);
    assert_eq!(world.model.refused_connections, 0);
    assert_eq!(world.model.refused_messages.len(), 0);
    let used = world.used_since(start);
    assert!(used >= 0.8, "{used}");
}

/// Refusals of messages and of connections, and tries whether the relay takes more of them.
fn counts(world: &World) -> [usize; 4] {
    let tries = |of: fn(&Instance) -> usize| world.instances.iter().map(of).sum();
    [
        world.model.refused_messages.len(),
        tries(|i| i.rate_tries),
        world.model.refused_connections as usize,
        tries(|i| i.connection_tries),
    ]
}

/// Refused connections of an instance without one, until `LONGEST_REST` is reached.
const FIRST_PROBES: usize = 8;

/// Refused connections of such an instance in so many minutes after that.
fn probes(minutes: usize) -> usize {
    minutes / 4 + 1
}

#[test]
fn a_learned_limit_is_exceeded_once_a_step_at_most_and_used_to_four_fifths() {
    for instances in [1_usize, 2, 3] {
        let mut world = World::new(&Limits::of_each(10), instances);
        let start = world.now;
        world.run(MINUTE * 3);
        let first = counts(&world);
        world.run(MINUTE * 30);
        let all = counts(&world);
        let [messages, message_steps, connections, connection_steps] =
            std::array::from_fn(|count| all[count] - first[count]);
        assert!(first[0] <= 5 * instances, "found out by {}", first[0]);
        let most = first[3] + instances + FIRST_PROBES * (instances - 1);
        assert!(first[2] <= most, "found out by {}", first[2]);
        assert!(
            messages <= message_steps,
            "refused {messages} in {message_steps} steps"
        );
        let most = connection_steps + probes(30) * (instances - 1);
        assert!(connections <= most, "refused {connections}, not {most}");
        let used = world.used_since(start);
        assert!(used >= 0.8, "{used}");
    }
}

/// Nothing but connections is scarce. All that the relay takes are in use, whichever instance has
/// them; one that has none probes.
#[test]
fn connections_that_are_learned_are_all_used_and_exceeded_once_a_step_or_probe() {
    for instances in [1_usize, 2, 3, 5] {
        let mut world = World::new(&Limits::of_each(10), instances);
        world.model = Model::new(usize::MAX);
        world.run(MINUTE * 3);
        let [.., first, first_steps] = counts(&world);
        let most = first_steps + instances + FIRST_PROBES * (instances - 1);
        assert!(first <= most, "found out by {first}");
        (world.model.used, world.model.ticks) = (0, 0);
        world.run(MINUTE * 60);
        let [.., all, all_steps] = counts(&world);
        let (refused, steps) = (all - first, all_steps - first_steps);
        let used = f64::from(world.model.used) / f64::from(world.model.ticks * CONNECTIONS);
        let most = steps + probes(60) * (instances - 1);
        assert!(refused <= most, "refused {refused} in {steps} steps");
        assert!(used >= 0.8, "{used}");
    }
}
