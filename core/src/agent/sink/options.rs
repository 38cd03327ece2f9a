//! The folder of a sink, and whose the copy in it is.

use std::path::PathBuf;
use std::str::FromStr;

use rustix::fs::RawMode;

use crate::error::{Error, Result};
use crate::option_value::invalid;

/// A copy is its owner's alone, unless it is asked for otherwise.
const MODE: RawMode = 0o600;

/// A folder for copies: `DIR[,uid=N][,gid=N][,mode=OCTAL]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    pub(crate) folder: PathBuf,
    /// The user of the copy; that of the folder if none is named.
    pub(super) user: Option<u32>,
    /// The group of the copy; that of the folder if none is named.
    pub(super) group: Option<u32>,
    pub(super) mode: RawMode,
}

impl FromStr for SinkOptions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || {
            let fix = "write DIR[,uid=N][,gid=N][,mode=0600]";
            invalid("a sink", format_args!("{text:?}"), "which makes no sense", fix)
        };
        let mut options = Self { folder: PathBuf::new(), user: None, group: None, mode: MODE };
        let mut rest = text;
        while let Some((folder, word)) = rest.rsplit_once(',') {
            let Some((name, value)) = word.split_once('=') else { break };
            let number = || value.parse().map_err(|_| refuse());
            match name {
                "uid" => options.user = Some(number()?),
                "gid" => options.group = Some(number()?),
                "mode" => {
                    options.mode = RawMode::from_str_radix(value, 8).map_err(|_| refuse())?;
                }
                // The name of a folder may have a comma.
                _ => break,
            }
            rest = folder;
        }
        options.folder = rest.into();
        let is_mode = options.mode & !0o666 == 0 && options.mode & 0o400 != 0;
        let is_good = is_mode && !rest.is_empty() && options.user != Some(u32::MAX);
        is_good.then_some(options).ok_or_else(refuse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_may_be_followed_by_whose_the_copy_is() {
        let parse = |text: &str| text.parse::<SinkOptions>().expect(text);
        let plain = parse("/a,b=c,d");
        assert_eq!((&*plain.folder, plain.mode), ("/a,b=c,d".as_ref(), 0o600));
        let full = parse("/srv/ci,mode=0640,uid=1000,gid=50");
        assert_eq!(
            full,
            SinkOptions {
                folder: "/srv/ci".into(),
                user: Some(1000),
                group: Some(50),
                mode: 0o640
            }
        );
        for odd in
            ["", ",uid=1", "/a,uid=", "/a,uid=-1", "/a,mode=0200", "/a,mode=0700", "/a,mode=9"]
        {
            let error = odd.parse::<SinkOptions>().expect_err(odd);
            assert_eq!(error.code(), "invalid_option");
        }
    }
}
