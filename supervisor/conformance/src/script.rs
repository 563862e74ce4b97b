//! A story, as data: what is done to one process, in order.

use std::ops::RangeInclusive;
use std::time::Duration;

use outboard_wire::{Id, encode};

use crate::host::{Call, Host};

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
#[derive(Debug)]
pub(crate) struct Script<'h> {
    host: &'h Host,
    pub(crate) steps: Vec<Step>,
}

impl<'h> Script<'h> {
    pub(crate) fn new(host: &'h Host) -> Self {
        Self { host, steps: Vec::new() }
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

    /// One frame, message or not.
    pub(crate) fn frame(self, text: &str) -> Self {
        self.framed(&format!("{text}\n").into_bytes())
    }

    fn framed(self, line: &[u8]) -> Self {
        let mut bytes = Vec::new();
        self.host.frame(&mut bytes, line);
        self.write(bytes)
    }

    pub(crate) fn note(self, method: &str, params: &str) -> Self {
        self.say(&Call { method: method.to_owned(), params: params.to_owned() })
    }

    pub(crate) fn say(self, note: &Call) -> Self {
        let mut line = Vec::new();
        encode::notification(&mut line, &note.method, note.params());
        self.framed(&line)
    }

    /// A request, whose answer nobody waits for here.
    pub(crate) fn request(self, id: u32, method: &str, params: &str) -> Self {
        self.put(id, &Call { method: method.to_owned(), params: params.to_owned() })
    }

    pub(crate) fn put(self, id: u32, call: &Call) -> Self {
        let mut line = Vec::new();
        encode::request(&mut line, id, &call.method, call.params());
        self.then(Step::Asked(id)).framed(&line)
    }

    /// A request, and its answer.
    pub(crate) fn ask(self, id: u32, method: &str, params: &str, within: Duration) -> Self {
        self.request(id, method, params).answers(id..=id, within)
    }

    pub(crate) fn ping(self, id: u32) -> Self {
        let ping = &self.host.ping;
        self.put(id, ping).answers(id..=id, BUDGET)
    }

    /// A ping under an id that is text; nobody waits for its answer.
    pub(crate) fn ping_as(self, id: &str) -> Self {
        let ping = &self.host.ping;
        let mut line = Vec::new();
        encode::request_with(&mut line, &Id::Str(id.into()), &ping.method, ping.params());
        self.framed(&line)
    }

    /// Pings under all of these ids, in one write.
    pub(crate) fn pings(self, ids: RangeInclusive<u32>) -> Self {
        let frames = ids.flat_map(|id| self.host.ping_frame(id)).collect::<Vec<u8>>();
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
