//! One WebSocket to the management API.
//!
//! It holds little, whatever its client does: a few requests in work, one message that is being written, and a short queue
//! of items. While that much is in work or unread, nothing more is read.

use std::sync::Arc;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jsonrpsee::Methods;
use jsonrpsee::core::server::{ConnectionId, MethodSink};
use serde_json::value::RawValue;
use soketto::base::Error as Codec;
use soketto::connection::Error;
use soketto::handshake::http::Server as Handshake;
use soketto::{Incoming, Receiver, Sender};
use tokio::io::BufStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::answer::{Answer, MAX_REQUEST, SUBSCRIPTIONS, Subscriber, answer, too_long};
use super::crowd::{Debt, Place, Standing};
use super::server::{Asker, turned};

/// Requests of one connection in work at the same time; answers that are not written yet count.
const IN_WORK: usize = 16;

/// Items that wait for one connection's reader. A subscription that is behind by more than this and the broadcast channel
/// is told how many it missed.
const QUEUED_ITEMS: usize = 16;

type Io = Compat<BufStream<TokioIo<Upgraded>>>;

/// A request, with what is to be kept until its answer is written.
struct Asked {
    /// `None`: it was too long.
    message: Option<Vec<u8>>,
    kept: Debt,
    turn: OwnedSemaphorePermit,
}

/// Something to write, and what is free once it is written.
struct Due {
    message: Box<RawValue>,
    _free: (Debt, Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>),
}

/// Serves it until its client is gone, it is sent away, or it has had its answers after `stop` has turned true.
pub(super) async fn serve(
    io: TokioIo<Upgraded>,
    asker: Asker,
    handshake: Handshake,
    methods: Methods,
    place: &Arc<Place>,
    stop: watch::Receiver<bool>,
) {
    let mut builder = handshake.into_builder(BufStream::new(io).compat());
    builder.set_max_message_size(MAX_REQUEST);
    builder.set_max_frame_size(MAX_REQUEST);
    let (sender, receiver) = builder.finish();
    let (asked, requests) = mpsc::channel(IN_WORK);
    tokio::select! {
        () = place.sent_away() => {}
        () = receive(receiver, asked, place, stop) => {}
        () = work(sender, requests, (methods, asker), place) => {}
    }
}

/// Reads requests while there are turns for them. Ends when the client is gone.
async fn receive(
    mut receiver: Receiver<Io>,
    asked: mpsc::Sender<Asked>,
    place: &Place,
    mut stop: watch::Receiver<bool>,
) {
    let turns = Arc::new(Semaphore::new(IN_WORK));
    let reading = async {
        loop {
            let turn = Arc::clone(&turns).acquire_owned().await.expect("nobody closes it");
            let mut message = Vec::new();
            let message = match receiver.receive(&mut message).await {
                Ok(Incoming::Data(_)) => Some(message),
                Ok(Incoming::Pong(_)) => continue,
                Err(
                    Error::MessageTooLarge { .. } | Error::Codec(Codec::PayloadTooLarge { .. }),
                ) => None,
                Ok(Incoming::Closed(_)) | Err(_) => return true,
            };
            let kept = place.owes(message.as_ref().map_or(0, Vec::len));
            let too_long = message.is_none();
            if asked.send(Asked { message, kept, turn }).await.is_err() {
                return true;
            }
            if too_long {
                // It is told so; where the next message begins, nobody knows.
                return false;
            }
        }
    };
    tokio::select! {
        gone = reading => if gone { return },
        () = turned(&mut stop) => {}
    }
    // No more requests; the answers to those in work are still written.
    drop(asked);
    std::future::pending().await
}

/// Answers requests and forwards items, one message after another. Ends when there are no more of either, or nobody to
/// read them.
async fn work(
    mut sender: Sender<Io>,
    mut requests: mpsc::Receiver<Asked>,
    (methods, asker): (Methods, Asker),
    place: &Arc<Place>,
) {
    let (sink, mut items) = mpsc::channel(QUEUED_ITEMS);
    let subscriber = Subscriber {
        connection: ConnectionId(usize::try_from(place.number()).unwrap_or(usize::MAX)),
        sink: MethodSink::new(sink),
        long: Arc::new(Semaphore::new(1)),
        room: Arc::new(Semaphore::new(SUBSCRIPTIONS)),
    };
    // They end with the connection.
    let mut in_work = JoinSet::new();
    let mut more = true;
    while more || !in_work.is_empty() {
        let idle = in_work.is_empty() && !subscriber.is_subscribed();
        place.stands(if idle { Standing::Idle } else { Standing::Served });
        let due = tokio::select! {
            asked = requests.recv(), if more => {
                match asked {
                    Some(asked) => drop(in_work.spawn(done(asked, (methods.clone(), asker.clone()), subscriber.clone(), Arc::clone(place)))),
                    None => more = false,
                }
                continue;
            }
            Some(done) = in_work.join_next() => match done {
                Ok(Some(due)) => due,
                // Nothing is to be said, or its work panicked.
                Ok(None) | Err(_) => continue,
            },
            Some(message) = items.recv() => {
                let kept = place.owes(message.get().len());
                Due { message, _free: (kept, None, None) }
            }
        };
        place.stands(Standing::Written);
        let Due { message, _free } = due;
        let written = async {
            sender.send_text_owned(String::from(Box::<str>::from(message))).await?;
            sender.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "a management client is gone");
            return;
        }
    }
    if let Err(error) = sender.close().await {
        tracing::debug!(%error, "a management client was gone before it was told of the end");
    }
}

async fn done(
    asked: Asked,
    (methods, asker): (Methods, Asker),
    subscriber: Subscriber,
    place: Arc<Place>,
) -> Option<Due> {
    let Asked { message, kept, turn } = asked;
    let Answer { json, long } = match message {
        Some(message) => answer(&methods, &message, &asker, Some(&subscriber)).await?,
        None => too_long(),
    };
    drop(kept);
    let kept = place.owes(json.get().len());
    Some(Due { message: json, _free: (kept, Some(turn), long) })
}
