//! One connection to the management socket: HTTP/1.1, and what it is upgraded to.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jsonrpsee::Methods;
use soketto::handshake::http::{Server as Handshake, is_upgrade_request};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::answer::{MAX_REQUEST, answer};
use super::crowd::{Debt, Place, Standing};
use super::server::{Asker, turned};
use super::websocket;

/// How long the head of a request may take, and the time until the next one; then its body. A client that is slower than
/// this is not at work.
const SLOWEST: Duration = Duration::from_secs(10);

/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;

type HttpAnswer = Response<Full<Bytes>>;

/// What a request for another protocol leaves behind.
struct Upgrade {
    asker: Asker,
    handshake: Handshake,
    io: OnUpgrade,
}

/// One connection while it speaks HTTP.
struct Connection {
    /// Who is on the other end.
    asker: Asker,
    methods: Methods,
    place: Arc<Place>,
    /// The last answer, which may not be read yet.
    unread: Mutex<Option<Debt>>,
    upgrade: Mutex<Option<Upgrade>>,
}

/// Serves a connection until it ends, is sent away, or has had its answers after `stop` has turned true.
pub(super) async fn serve(
    stream: UnixStream,
    asker: Asker,
    methods: Methods,
    place: Place,
    mut stop: watch::Receiver<bool>,
) {
    let place = Arc::new(place);
    let connection = Arc::new(Connection {
        asker,
        methods: methods.clone(),
        place: Arc::clone(&place),
        unread: Mutex::default(),
        upgrade: Mutex::default(),
    });
    let service = service_fn(|request| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(connection.respond(request).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(SLOWEST).max_buf_size(MAX_HEAD);
    let serving = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = place.sent_away() => return,
        () = turned(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut serving => ended,
                () = place.sent_away() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a management connection ended");
    }
    let upgrade = connection.upgrade.lock().expect(UNPOISONED).take();
    let Some(Upgrade { asker, handshake, io }) = upgrade else { return };
    match io.await {
        Ok(io) => websocket::serve(TokioIo::new(io), asker, handshake, methods, &place, stop).await,
        Err(error) => tracing::debug!(%error, "a management connection was not upgraded"),
    }
}

const UNPOISONED: &str = "nothing panics while it holds this";

impl Connection {
    async fn respond(&self, request: Request<Incoming>) -> HttpAnswer {
        // Who asks again has read the last answer, or does not want it.
        self.unread.lock().expect(UNPOISONED).take();
        let asker = self.asker.of_request(&request);
        if is_upgrade_request(&request) {
            return self.upgrade(request, asker);
        }
        if let Some((status, why)) = misfit(&request) {
            return says(status, why);
        }
        let body = Limited::new(request.into_body(), MAX_REQUEST).collect();
        let body = match tokio::time::timeout(SLOWEST, body).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return says(TOO_LARGE.0, TOO_LARGE.1);
            }
            Ok(Err(_)) => {
                return says(StatusCode::BAD_REQUEST, "the body of the request is broken");
            }
            Err(_) => {
                return says(StatusCode::REQUEST_TIMEOUT, "the request took more than 10s to come");
            }
        };
        self.place.stands(Standing::Served);
        let in_work = self.place.owes(body.len());
        let answer = answer(&self.methods, &body, &asker, None).await;
        drop(in_work);
        self.place.stands(Standing::Idle);
        let text =
            answer.map(|answer| String::from(Box::<str>::from(answer.json))).unwrap_or_default();
        *self.unread.lock().expect(UNPOISONED) = Some(self.place.owes(text.len()));
        with_type(StatusCode::OK, "application/json; charset=utf-8", text)
    }

    fn upgrade(&self, request: Request<Incoming>, asker: Asker) -> HttpAnswer {
        let mut handshake = Handshake::new();
        match handshake.receive_request(&request) {
            Ok(response) => {
                let io = hyper::upgrade::on(request);
                *self.upgrade.lock().expect(UNPOISONED) = Some(Upgrade { asker, handshake, io });
                response.map(|()| Full::default())
            }
            Err(error) => says(StatusCode::BAD_REQUEST, &format!("no WebSocket: {error}")),
        }
    }
}

/// Why a request is refused before a byte of its body is read.
fn misfit(request: &Request<Incoming>) -> Option<(StatusCode, &'static str)> {
    if request.method() != Method::POST {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "requests are made by POST"));
    }
    // A page in a browser can make a form do a POST, but not with this type.
    if !request.headers().get(CONTENT_TYPE).is_some_and(is_json) {
        let why = "the content-type of a request is application/json";
        return Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, why));
    }
    (request.body().size_hint().lower() > MAX_REQUEST as u64).then_some(TOO_LARGE)
}

const TOO_LARGE: (StatusCode, &str) =
    (StatusCode::PAYLOAD_TOO_LARGE, "a request has at most 128 KiB");

fn is_json(value: &HeaderValue) -> bool {
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["application/json", "application/json-rpc"].iter().any(|it| kind.eq_ignore_ascii_case(it))
}

fn says(status: StatusCode, what: &str) -> HttpAnswer {
    with_type(status, "text/plain", format!("{what}\n"))
}

fn with_type(status: StatusCode, kind: &'static str, text: String) -> HttpAnswer {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
