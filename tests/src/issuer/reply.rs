//! Replies, the broken ones included.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::channel::Channel;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
};
use hyper::{Response, StatusCode};
use serde_json::Value;

pub(super) type Reply = Response<BoxBody<Bytes, io::Error>>;

/// Ends the connection without a byte of reply.
#[derive(Debug)]
pub(super) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection is dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

pub(super) fn json(status: u16, body: &Value) -> Reply {
    text(status, "application/json", body.to_string())
}

pub(super) fn text(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(never).boxed();
    let mut reply = with_body(status, body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A JSON body that is coded by gzip.
pub(super) fn gzipped(status: u16, body: &Value) -> Reply {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.to_string().as_bytes()).expect("memory takes it");
    let body = encoder.finish().expect("memory takes it");
    with_header(text(status, "application/json", body), CONTENT_ENCODING, "gzip")
}

pub(super) fn redirect(status: u16, to: &str) -> Reply {
    with_header(text(status, "text/plain", ""), LOCATION, to)
}

pub(super) fn with_header(mut reply: Reply, name: HeaderName, value: &str) -> Reply {
    if let Ok(value) = HeaderValue::from_str(value) {
        reply.headers_mut().insert(name, value);
    }
    reply
}

/// Announces the whole body, sends half of it, and ends the connection.
pub(super) fn truncated(body: &str) -> Reply {
    let half = Bytes::copy_from_slice(&body.as_bytes()[..body.len() / 2]);
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        // A client that has gone away needs no half of anything.
        if sender.send_data(half).await.is_ok() {
            // The first half has to reach the wire before the connection ends.
            tokio::time::sleep(Duration::from_millis(20)).await;
            sender.abort(io::Error::other("truncated on purpose"));
        }
    });
    let length = body.len().to_string();
    with_header(json_stream(channel), CONTENT_LENGTH, &length)
}

/// Sends the whole body, one byte every `every_ms`.
pub(super) fn slow(body: String, every_ms: u64) -> Reply {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        for byte in body.into_bytes() {
            if sender.send_data(Bytes::from(vec![byte])).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(every_ms)).await;
        }
    });
    json_stream(channel)
}

/// A well-formed JSON object whose one string is `bytes` long.
pub(super) fn huge(bytes: usize) -> Reply {
    const CHUNK: usize = 64 * 1024;
    let (mut sender, channel) = Channel::new(4);
    tokio::spawn(async move {
        let filler = Bytes::from(vec![b'x'; CHUNK]);
        let chunks = std::iter::once(Bytes::from_static(b"{\"access_token\":\""))
            .chain(std::iter::repeat_n(filler, bytes / CHUNK))
            .chain([Bytes::from_static(b"\"}")]);
        for chunk in chunks {
            if sender.send_data(chunk).await.is_err() {
                return;
            }
        }
    });
    json_stream(channel)
}

fn json_stream(channel: Channel<Bytes, io::Error>) -> Reply {
    let json = HeaderValue::from_static("application/json");
    let mut reply = with_body(200, channel.boxed());
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply
}

fn with_body(status: u16, body: BoxBody<Bytes, io::Error>) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply
}

fn never(error: Infallible) -> io::Error {
    match error {}
}
