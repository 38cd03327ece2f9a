//! A request that has been read to its end.

use std::collections::BTreeMap;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request as HyperRequest};
use serde_json::Value;

use super::reply::Dropped;

const LARGEST_BODY: usize = 16 * 1024 * 1024;

pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: Bytes,
    /// Becomes the connection, after a reply that switches to another protocol.
    pub(super) upgrade: OnUpgrade,
    headers: HeaderMap,
}

/// The fields of a body, whatever its encoding.
pub(super) struct Form {
    pub(super) encoding: &'static str,
    fields: BTreeMap<String, String>,
}

impl Request {
    pub(super) async fn read(mut request: HyperRequest<Incoming>) -> Result<Self, Dropped> {
        let upgrade = hyper::upgrade::on(&mut request);
        let (head, body) = request.into_parts();
        // Most likely a client that went away in the middle.
        let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Dropped)?;
        Ok(Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: body.to_bytes(),
            upgrade,
            headers: head.headers,
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        self.header(AUTHORIZATION.as_str())?.strip_prefix("Bearer ")
    }

    /// Whom the statistics count it for.
    pub(super) fn client(&self) -> &str {
        self.header("x-test-client").or_else(|| self.header("originator")).unwrap_or("unknown")
    }

    pub(super) fn form(&self) -> Form {
        let is_form = self
            .header(CONTENT_TYPE.as_str())
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if is_form {
            Form { encoding: "form", fields: form_fields(&self.body) }
        } else {
            Form { encoding: "json", fields: json_fields(&self.body) }
        }
    }

    pub(super) fn query_fields(&self) -> BTreeMap<String, String> {
        form_fields(self.query.as_bytes())
    }
}

impl Form {
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

fn form_fields(body: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(body).into_owned().collect()
}

/// Text fields only; the rest, and a body that is no object, count as absent.
fn json_fields(body: &[u8]) -> BTreeMap<String, String> {
    let fields: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
    fields.into_iter().filter_map(text).collect()
}
