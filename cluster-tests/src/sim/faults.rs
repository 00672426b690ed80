//! What goes wrong, and when it is mended.

use super::events::Event;
use super::world::World;
use super::{CALM, FAULTS, HOSTS, MANAGERS};
use model::Timestamp;
use std::time::Duration;

/// Counts faults, and what has to be mended.
#[derive(Default)]
pub(super) struct Faults {
    /// The newest fault of the network; only its mending counts.
    network: u64,
    /// Until then the leadership changes after each entry.
    hops_until: Option<Timestamp>,
}

/// One seed in so many has a long stretch in which the leadership changes after each entry.
const HOPPING_SEEDS: u64 = 4;
/// How long such a stretch takes, and a short one, which is a fault like others.
const LONG_HOPS_MS: (u64, u64) = (40_000, 90_000);
const SHORT_HOPS_MS: (u64, u64) = (3000, 12_000);

impl World {
    pub(super) fn plan_fault(&mut self) {
        let pause = CALM.as_millis() as u64 / (FAULTS as u64 + 4);
        let pause = self.rng.millis(pause / 3, pause * 5 / 3);
        self.after(pause, Event::Fault);
    }

    pub(super) fn fault(&mut self) {
        if self.calm {
            return;
        }
        self.summary.faults += 1;
        match self.rng.below(100) {
            0..=17 => self.kill_daemon(),
            18..=29 => self.cut_power(),
            30..=47 => self.cut_network(),
            48..=57 => self.cut_leader_off(),
            58..=71 => {
                self.trace(|| "the leader resigns".into());
                self.resign();
            }
            72..=79 => self.slow_down(),
            80..=91 => {
                let host = self.rng.below(HOSTS);
                let writes = 1 + self.rng.below(6) as u32;
                self.trace(|| format!("daemon {host} will die at journal write {writes}"));
                self.die_at_write(host, writes);
            }
            92..=95 => self.kill_leader(),
            96 => self.kill_all(),
            97 | 98 => {
                let time = self.rng.millis(SHORT_HOPS_MS.0, SHORT_HOPS_MS.1);
                self.begin_hops(time);
            }
            _ => self.blackout(),
        }
        self.plan_fault();
    }

    /// Some seeds have a long stretch of hops.
    pub(super) fn plan_hops(&mut self, seed: u64) {
        if seed.is_multiple_of(HOPPING_SEEDS) {
            let time = self.rng.millis(LONG_HOPS_MS.0, LONG_HOPS_MS.1);
            let begin = self
                .rng
                .millis(10_000, CALM.as_millis() as u64 - LONG_HOPS_MS.1);
            self.after(begin, Event::Hops { time });
        }
    }

    pub(super) fn begin_hops(&mut self, time: Duration) {
        self.trace(|| format!("for {time:?} the leadership changes after each entry"));
        self.faults.hops_until = Some(self.now + time);
    }

    /// After an entry: whether the leader has to go.
    pub(super) fn hops(&self) -> bool {
        let until = self.faults.hops_until;
        !self.calm && until.is_some_and(|until| until > self.now)
    }

    fn kill_daemon(&mut self) {
        let host = self.rng.below(HOSTS);
        self.crash_daemon(host);
        if self.rng.chance(30) {
            self.reconfigure(host);
        }
        // Mostly within the grace that a leader gives, sometimes beyond it.
        let delay = self.rng.millis(100, 8000);
        self.after(delay, Event::StartDaemon { host });
    }

    fn kill_leader(&mut self) {
        let host = self.log.leader.unwrap_or(0);
        self.crash_daemon(host);
        let delay = self.rng.millis(200, 6000);
        self.after(delay, Event::StartDaemon { host });
    }

    fn kill_all(&mut self) {
        for host in 0..HOSTS {
            self.crash_daemon(host);
            let delay = self.rng.millis(200, 4000);
            self.after(delay, Event::StartDaemon { host });
        }
    }

    fn cut_power(&mut self) {
        let host = self.rng.below(HOSTS);
        self.power_cycle(host);
    }

    fn blackout(&mut self) {
        for host in 0..HOSTS {
            self.power_cycle(host);
        }
    }

    fn power_cycle(&mut self, host: usize) {
        if self.hosts[host].powered {
            self.lose_power(host);
            let delay = self.rng.millis(500, 25_000);
            self.after(delay, Event::Boot { host });
        }
    }

    fn cut_network(&mut self) {
        let mut groups = [0; HOSTS];
        for group in &mut groups {
            *group = u8::from(self.rng.chance(35));
        }
        self.trace(|| format!("the network is cut: {groups:?}"));
        self.net.set_groups(groups);
        self.mend_later(200, 15_000);
    }

    /// The leader alone, or with the workers that it knows.
    fn cut_leader_off(&mut self) {
        let Some(leader) = self.log.leader else {
            return;
        };
        let with_workers = self.rng.chance(50);
        let mut groups = [0; HOSTS];
        for (host, group) in groups.iter_mut().enumerate() {
            *group = u8::from(host == leader || (host >= MANAGERS && with_workers));
        }
        self.trace(|| format!("leader {leader} is cut off: {groups:?}"));
        self.net.set_groups(groups);
        self.mend_later(1000, 12_000);
        // A host with a bad cable hears now one leader, now another.
        let (host, number) = (
            MANAGERS + self.rng.below(HOSTS - MANAGERS),
            self.faults.network,
        );
        let mut at = Duration::ZERO;
        for _ in 0..self.rng.below(5) {
            at += self.rng.millis(400, 4000);
            self.after(at, Event::Wander { host, number });
        }
    }

    pub(super) fn wander(&mut self, host: usize, number: u64) {
        if number == self.faults.network && !self.calm {
            self.trace(|| format!("host {host} changes sides"));
            self.net.change_side(host);
            if self.rng.chance(50) {
                self.crash_daemon(host);
                self.after(Duration::from_millis(300), Event::StartDaemon { host });
            }
        }
    }

    fn slow_down(&mut self) {
        let slowness = 5 + self.rng.below(40) as u32;
        self.trace(|| format!("the network is {slowness} times slower"));
        self.net.set_slowness(slowness);
        self.mend_later(1000, 10_000);
    }

    fn mend_later(&mut self, low: u64, high: u64) {
        self.faults.network += 1;
        let number = self.faults.network;
        let delay = self.rng.millis(low, high);
        self.review_leadership();
        self.after(delay, Event::Mend { number });
    }

    pub(super) fn mend(&mut self, number: u64) {
        if number == self.faults.network {
            self.mend_network();
        }
    }

    fn mend_network(&mut self) {
        self.trace(|| "the network is mended".into());
        self.net.set_groups([0; HOSTS]);
        self.net.set_slowness(1);
        for manager in 0..MANAGERS {
            let life = self.managers[manager].life;
            self.after(Duration::from_millis(5), Event::Follow { manager, life });
        }
        self.review_leadership();
    }

    /// Faults stop: all is mended, everything runs.
    pub(super) fn calm_down(&mut self) {
        self.trace(|| "calm".into());
        self.calm = true;
        self.faults.network += 1;
        self.mend_network();
        // What is half done goes on under another leader, also when nothing else happens any more.
        self.after(Duration::from_secs(6), Event::Resign);
        for host in 0..HOSTS {
            self.after(Duration::from_millis(10), Event::Boot { host });
            self.after(Duration::from_millis(3000), Event::StartDaemon { host });
        }
        self.after(Duration::from_secs(1), Event::Tidy);
    }
}
