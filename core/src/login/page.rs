//! The pages that the browser shows: plain text, without a secret and without anything from another
//! server.

use hyper::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue,
};
use hyper::header::{REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

/// The content security policy: a page loads, sends, frames and runs nothing.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A page of the redirect listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// The login is stored.
    SignedIn,
    /// The sign-in has failed.
    Failed,
    /// A redirect that belongs to another sign-in, or comes too late.
    NotOurs,
    /// There is no such page.
    NotFound,
    /// The method of the request is not GET.
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
            Self::Failed => ("Not signed in", "Go back to the program, which shows the reason."),
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
