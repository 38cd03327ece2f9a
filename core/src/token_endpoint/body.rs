//! Reads the body of a reply: bounded, and decoded if it is coded.

use std::io::{self, Read};

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use zeroize::Zeroizing;

/// The largest body that is read, in bytes, before and after it is decoded. No reply with tokens
/// needs more.
const LARGEST_BODY: usize = 256 * 1024;

/// The content coding of a body (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
    Unknown,
}

/// Reads the body of `response`. Returns none if it was cut off, is larger than [`LARGEST_BODY`], or
/// cannot be decoded.
///
/// Requests ask for a body that is not coded, so no reply should be. Some proxies code it all the
/// same, and it may contain the only copy of a rotated token.
pub(crate) async fn read_body(mut response: Response) -> Option<Zeroizing<Vec<u8>>> {
    let coding = response.headers().get(CONTENT_ENCODING);
    let coding = coding.map_or(Coding::Identity, |name| Coding::named(name.as_bytes()));
    let mut body = Zeroizing::new(Vec::with_capacity(16 * 1024));
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    coding.decode(body)
}

impl Coding {
    fn named(name: &[u8]) -> Self {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Self::Identity,
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            _ => Self::Unknown,
        }
    }

    fn decode(self, body: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
        match self {
            Self::Identity => Some(body),
            Self::Gzip => read_all(MultiGzDecoder::new(body.as_slice())).ok(),
            Self::Deflate => read_all(ZlibDecoder::new(body.as_slice())).ok(),
            Self::Unknown => None,
        }
    }
}

/// Returns all that `decoder` yields, at most [`LARGEST_BODY`].
fn read_all(decoder: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // As large as it can get: a buffer that grows leaves a copy of the tokens in memory.
    let mut body = Zeroizing::new(Vec::with_capacity(LARGEST_BODY + 64));
    let most = LARGEST_BODY as u64 + 1;
    if decoder.take(most).read_to_end(&mut body)? > LARGEST_BODY {
        return Err(io::Error::other("the decoded body is too large"));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).expect("memory");
        encoder.finish().expect("memory")
    }

    fn decoded(name: &str, body: Vec<u8>) -> Option<Vec<u8>> {
        let decoded = Coding::named(name.as_bytes()).decode(Zeroizing::new(body));
        decoded.map(|body| body.to_vec())
    }

    #[test]
    fn a_coded_body_is_decoded() {
        let plain = br#"{"access_token":"a"}"#.to_vec();
        assert_eq!(decoded("identity", plain.clone()), Some(plain.clone()));
        assert_eq!(decoded(" GZip", gzip(&plain)), Some(plain.clone()));
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&plain).expect("memory");
        assert_eq!(decoded("deflate", encoder.finish().expect("memory")), Some(plain));
    }

    #[test]
    fn a_body_that_is_cut_too_large_or_coded_otherwise_is_none() {
        let mut cut = gzip(br#"{"access_token":"a"}"#);
        cut.truncate(cut.len() - 9);
        assert_eq!(decoded("gzip", cut), None);
        assert_eq!(decoded("gzip", b"plain".to_vec()), None);
        assert_eq!(decoded("br", b"{}".to_vec()), None);
        let largest = vec![b' '; LARGEST_BODY];
        assert_eq!(decoded("gzip", gzip(&largest)).map(|body| body.len()), Some(LARGEST_BODY));
        assert_eq!(decoded("gzip", gzip(&[largest, vec![b' ']].concat())), None);
        let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < LARGEST_BODY);
        assert_eq!(decoded("gzip", bomb), None);
    }
}
