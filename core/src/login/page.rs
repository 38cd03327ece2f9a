//! What the browser shows in the end: plain text, nothing from elsewhere, nothing secret.

use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
};
use hyper::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

/// Nothing may be loaded, sent, framed or run.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The login is stored.
    SignedIn,
    /// It is not.
    Failed,
    /// A redirect that belongs to another sign-in, or comes too late.
    NotOurs,
    /// There is no such page.
    NotFound,
    /// Pages are only read.
    NotAllowed,
}

impl Page {
    const fn status(self) -> StatusCode {
        match self {
            Self::SignedIn => StatusCode::OK,
            Self::Failed | Self::NotOurs => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::SignedIn => ("Signed in", "You can close this window and go back."),
            Self::Failed => ("Not signed in", "Go back to the program: it says what went wrong."),
            Self::NotOurs => ("Not this sign-in", "Open the address that the program shows."),
            Self::NotFound => ("Not found", "There is nothing here."),
            Self::NotAllowed => ("Not allowed", "There is nothing here that can be changed."),
        }
    }

    pub(super) fn response(self) -> Response<String> {
        let (title, text) = self.text();
        let mut response = Response::new(format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
             <h1>{title}</h1><p>{text}</p></html>"
        ));
        *response.status_mut() = self.status();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (CACHE_CONTROL, "no-store"),
            (REFERRER_POLICY, "no-referrer"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (CONNECTION, "close"),
        ] {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
