//! Several who ask for the same pull share one.
//!
//! The pull runs in a task of its own, so that it goes on when the first who asked has gone, and ends when the last has.
//! Who comes later first hears the last state of each layer.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Request;
use crate::error::PullError;
use crate::progress::{Progress, ProgressMessage};
use crate::types::Pulled;

type Outcome = Result<Pulled, PullError>;

/// The pulls under way.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<Request, Flight>>>);

struct Flight {
    /// Tells this one from a later one of the same request.
    number: u64,
    outcome: watch::Receiver<Option<Outcome>>,
    audience: Audience,
    waiting: usize,
    task: AbortHandle,
}

impl Flights {
    /// Waits for the pull of `request`, which `start` begins if there is none.
    pub(super) async fn join<F>(
        &self,
        request: Request,
        progress: Progress,
        start: impl FnOnce(Progress) -> F,
    ) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (mut outcome, _seat) = self.board(request, progress, start);
        let interrupted = || PullError::Interrupted("it ended without a result".to_owned());
        let done = outcome
            .wait_for(Option::is_some)
            .await
            .map_err(|_| interrupted())?;
        done.clone().ok_or_else(interrupted)?
    }

    fn board<F>(
        &self,
        request: Request,
        progress: Progress,
        start: impl FnOnce(Progress) -> F,
    ) -> (watch::Receiver<Option<Outcome>>, Seat)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut flights = self.flights();
        let flight = flights.entry(request.clone()).or_insert_with(|| {
            let audience = Audience::default();
            let (sender, outcome) = watch::channel(None);
            let pull = start(audience.progress());
            let task = tokio::spawn(async move {
                let result = pull.await;
                sender.send_replace(Some(result));
            });
            Flight {
                number: next_number(),
                outcome,
                audience,
                waiting: 0,
                task: task.abort_handle(),
            }
        });
        flight.waiting += 1;
        flight.audience.add(progress);
        let seat = Seat {
            flights: self.clone(),
            request,
            number: flight.number,
        };
        (flight.outcome.clone(), seat)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Request, Flight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One who waits. The last one to go ends the pull; when it has landed, the first one to go takes it off the list, so that
/// who comes then starts anew.
struct Seat {
    flights: Flights,
    request: Request,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        let Some(flight) = flights
            .get_mut(&self.request)
            .filter(|flight| flight.number == self.number)
        else {
            return;
        };
        flight.waiting -= 1;
        let landed = flight.outcome.borrow().is_some();
        if landed || flight.waiting == 0 {
            flight.task.abort();
            flights.remove(&self.request);
        }
    }
}

/// Those who hear a pull's progress.
#[derive(Clone, Default)]
struct Audience(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    listeners: Vec<Progress>,
    /// The last message about each thing, in the order in which the things came up.
    last: Vec<ProgressMessage>,
}

impl Audience {
    fn progress(&self) -> Progress {
        let audience = self.clone();
        Progress::new(move |message| audience.tell(message))
    }

    fn tell(&self, message: ProgressMessage) {
        let mut heard = self.heard();
        match heard
            .last
            .iter_mut()
            .find(|last| last.id.is_some() && last.id == message.id)
        {
            Some(last) => *last = message.clone(),
            None => heard.last.push(message.clone()),
        }
        for listener in &heard.listeners {
            listener.send(message.clone());
        }
    }

    fn add(&self, listener: Progress) {
        let mut heard = self.heard();
        heard
            .last
            .iter()
            .for_each(|message| listener.send(message.clone()));
        heard.listeners.push(listener);
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
