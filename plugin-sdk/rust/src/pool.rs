//! A few threads for handlers, started when they are needed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::host::lock;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on at most `threads` threads; at most `waiting` more jobs wait for one.
///
/// Dropping it lets the threads end once they have nothing to do; nobody waits for them.
pub(crate) struct Pool {
    name: &'static str,
    shared: Arc<Shared>,
    threads: usize,
    waiting: usize,
}

struct Shared {
    state: Mutex<Inner>,
    /// A job came, or the pool was dropped.
    work: Condvar,
    /// The last job ended.
    idle: Condvar,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<Job>,
    threads: usize,
    running: usize,
    closed: bool,
}

impl Pool {
    /// `name` is that of its threads.
    pub(crate) fn new(name: &'static str, threads: usize, waiting: usize) -> Self {
        let shared = Shared {
            state: Mutex::new(Inner::default()),
            work: Condvar::new(),
            idle: Condvar::new(),
        };
        Self { name, shared: Arc::new(shared), threads, waiting }
    }

    /// Takes a job, or gives `false` when there is no room or no thread for it.
    pub(crate) fn submit(&self, job: Job) -> bool {
        let mut state = lock(&self.shared.state);
        let free = state.threads - state.running;
        if state.queue.len() >= free {
            // Every free thread has its job waiting for it already.
            if state.threads < self.threads {
                let shared = Arc::clone(&self.shared);
                let thread = std::thread::Builder::new().name(self.name.into());
                match thread.spawn(move || shared.work()) {
                    Ok(_) => state.threads += 1,
                    Err(_) if state.threads == 0 => return false,
                    Err(_) => {} // Those that are there will come to it.
                }
            } else if state.queue.len() - free >= self.waiting {
                return false;
            }
        }
        state.queue.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        true
    }

    /// Waits until nothing runs or waits, for `limit` at most. Gives whether that came.
    pub(crate) fn drain(&self, limit: Duration) -> bool {
        let state = lock(&self.shared.state);
        let busy = |state: &mut Inner| state.running > 0 || !state.queue.is_empty();
        let waited = self.shared.idle.wait_timeout_while(state, limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                state.running += 1;
                drop(state);
                job();
                state = lock(&self.state);
                state.running -= 1;
                if state.running == 0 && state.queue.is_empty() {
                    self.idle.notify_all();
                }
            } else if state.closed {
                return;
            } else {
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Generous: it only keeps a broken pool from hanging the test.
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn threads_are_bounded_and_so_is_the_queue() {
        let pool = Pool::new("test", 2, 3);
        let (started, starts) = mpsc::channel();
        let gate = Arc::new(Mutex::new(()));
        let closed = gate.lock().expect("nobody panicked");
        let submit = |n: usize| {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            pool.submit(Box::new(move || {
                started.send(n).expect("the test listens");
                drop(gate.lock());
            }))
        };
        assert!(submit(1) && submit(2));
        let mut first = [(); 2].map(|()| starts.recv_timeout(LONG).expect("both run at once"));
        first.sort_unstable();
        assert_eq!(first, [1, 2]);
        assert!(submit(3) && submit(4) && submit(5), "three wait");
        assert!(!submit(6), "the fourth is refused");
        assert!(starts.try_recv().is_err(), "none of the waiting has started");
        drop(closed);
        assert!(pool.drain(LONG));
        let mut rest: Vec<_> = starts.try_iter().collect();
        rest.sort_unstable();
        assert_eq!(rest, [3, 4, 5]);
    }

    #[test]
    fn an_idle_thread_is_used_again() {
        let pool = Pool::new("test", 8, 8);
        for _ in 0..50 {
            assert!(pool.submit(Box::new(|| {})));
            assert!(pool.drain(LONG));
        }
        assert!(lock(&pool.shared.state).threads <= 2);
    }
}
