//! A story, as data: what is done to one process, in order.

use std::ops::RangeInclusive;
use std::time::Duration;

use outboard_wire::encode;

/// How long an answer may take where no rule says otherwise.
pub(crate) const BUDGET: Duration = Duration::from_secs(5);

/// Ids of what is asked after the opening begin here.
pub(crate) const FIRST_ID: u32 = 10;

/// One step of a story.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// A name for this moment, for the judges.
    Mark(&'static str),
    /// Bytes for stdin. They leave while later steps go on.
    Write(Vec<u8>),
    /// From now on the answer to this request is awaited.
    Asked(u32),
    /// Goes on once the opening is answered by a result; anything else ends the story.
    Opening {
        within: Duration,
    },
    /// Goes on once each of these ids is answered, or the time is up, or nothing at all has come for `idle`.
    Answers {
        ids: RangeInclusive<u32>,
        within: Duration,
        idle: Duration,
    },
    /// The story ends here unless this id is answered.
    Needs(u32),
    /// Goes on after this time.
    Listen(Duration),
    /// The same without reading stdout.
    Deaf(Duration),
    /// Goes on once all that was written has left.
    Flush {
        within: Duration,
    },
    CloseStdin,
    /// SIGTERM to its process group.
    Terminate,
    /// Goes on once the process has ended.
    End {
        within: Duration,
    },
}

/// What one process is told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn mark(self, name: &'static str) -> Self {
        self.then(Step::Mark(name))
    }

    pub(crate) fn write(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Write(bytes.into()))
    }

    pub(crate) fn note(self, method: &str, params: &str) -> Self {
        let mut frame = Vec::new();
        encode::notification(&mut frame, method, Some(params));
        self.write(frame)
    }

    /// A request, whose answer nobody waits for here.
    pub(crate) fn request(self, id: u32, method: &str, params: &str) -> Self {
        let mut frame = Vec::new();
        encode::request(&mut frame, id, method, Some(params));
        self.then(Step::Asked(id)).write(frame)
    }

    /// A request, and its answer.
    pub(crate) fn ask(self, id: u32, method: &str, params: &str, within: Duration) -> Self {
        self.request(id, method, params).answers(id..=id, within)
    }

    pub(crate) fn ping(self, id: u32) -> Self {
        self.ask(id, "ping", "{}", BUDGET)
    }

    /// Pings under all of these ids, in one write.
    pub(crate) fn pings(self, ids: RangeInclusive<u32>) -> Self {
        let mut frames = Vec::new();
        for id in ids {
            encode::request(&mut frames, id, "ping", Some("{}"));
        }
        self.write(frames)
    }

    pub(crate) fn answers(self, ids: RangeInclusive<u32>, within: Duration) -> Self {
        self.then(Step::Answers { ids, within, idle: within })
    }

    pub(crate) fn answers_unless_idle(
        self,
        ids: RangeInclusive<u32>,
        within: Duration,
        idle: Duration,
    ) -> Self {
        self.then(Step::Answers { ids, within, idle })
    }

    pub(crate) fn needs(self, id: u32) -> Self {
        self.then(Step::Needs(id))
    }

    pub(crate) fn opening(self, within: Duration) -> Self {
        self.then(Step::Opening { within })
    }

    pub(crate) fn listen(self, time: Duration) -> Self {
        self.then(Step::Listen(time))
    }

    pub(crate) fn deaf(self, time: Duration) -> Self {
        self.then(Step::Deaf(time))
    }

    pub(crate) fn flush(self) -> Self {
        self.then(Step::Flush { within: BUDGET })
    }

    pub(crate) fn close_stdin(self) -> Self {
        self.then(Step::CloseStdin)
    }

    pub(crate) fn terminate(self) -> Self {
        self.then(Step::Terminate)
    }

    /// Its end, marked `end`.
    pub(crate) fn end(self, within: Duration) -> Self {
        self.mark("end").then(Step::End { within })
    }
}
