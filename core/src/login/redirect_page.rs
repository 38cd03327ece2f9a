//! A page of this machine that leads the browser on to the authorization server.
//!
//! A browser is opened by a command, and every user of the machine can read its arguments. A user
//! who reads the `state` and the PKCE challenge there could answer the sign-in with an
//! authorization code for an account of his own. So the command names this page, which only its
//! owner can read.

use std::env;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::{Builder, TempPath};
use url::Url;
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::storage::temp_file;

/// The page. Dropping it removes it.
#[derive(Debug)]
pub(super) struct RedirectPage(TempPath);

impl RedirectPage {
    /// Creates a page that leads to `url`.
    ///
    /// It is in the home folder, and has no hidden name: browsers that run in a sandbox see neither
    /// the folder of temp files nor hidden files. It is among the temp files if that folder cannot
    /// be written.
    pub(super) fn create(url: &Secret) -> io::Result<Self> {
        let page = page(url);
        let in_folder = |folder: &Path| temp_file::private(&named(), folder);
        let mut file = env::home_dir()
            .and_then(|home| in_folder(&home).ok())
            .map_or_else(|| in_folder(&env::temp_dir()), Ok)?;
        file.write_all(page.as_bytes())?;
        file.flush()?;
        Ok(Self(file.into_temp_path()))
    }

    /// Returns the address of the page.
    pub(super) fn address(&self) -> io::Result<Url> {
        let path = self.0.canonicalize()?;
        Url::from_file_path(path).map_err(|()| io::Error::other("the page has no address"))
    }
}

/// Returns the form of a file that only its owner can read, from the first byte.
fn named() -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix("codex-sign-in-").suffix(".html");
    builder
}

fn page(url: &Secret) -> Zeroizing<String> {
    let url = escaped(url.expose());
    let mut page = Zeroizing::new(String::with_capacity(4 * 1024));
    write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"referrer\" content=\"no-referrer\">\
         <meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>Sign in</title>\
         <p><a href=\"{url}\">Sign in</a></p></html>",
        url = *url,
    )
    .expect("memory takes it");
    page
}

/// Returns `text` as the value of an attribute of HTML.
fn escaped(text: &str) -> Zeroizing<String> {
    let mut escaped = Zeroizing::new(String::with_capacity(2 * text.len()));
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_owner_can_read_where_it_leads() {
        #[cfg(unix)]
        {
            use crate::child;
            const TEST: &str =
                "login::redirect_page::tests::only_its_owner_can_read_where_it_leads";
            match child::role() {
                Some(umask) => child::set_umask(&umask),
                None => {
                    let output = child::play(&mut child::playing(TEST, "777"));
                    assert!(output.status.success(), "{output:?}");
                }
            }
        }
        let url = Secret::new("https://issuer.example/authorize?state=sesame&scope='a'".to_owned());
        let page = RedirectPage::create(&url).expect("a page");
        let address = page.address().expect("an address");
        assert_eq!(address.scheme(), "file");
        assert!(!address.as_str().contains("sesame"), "{address}");
        let path = address.to_file_path().expect("a path");
        let text = std::fs::read_to_string(&path).expect("a page");
        let target = "https://issuer.example/authorize?state=sesame&amp;scope=&#39;a&#39;";
        assert!(text.contains(&format!("content=\"0;url={target}\"")), "{text}");
        assert!(text.contains(&format!("href=\"{target}\"")), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = path.metadata().expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        drop(page);
        assert!(!path.exists());
    }

    #[test]
    fn nothing_breaks_out_of_the_page() {
        assert_eq!(*escaped("a&b\"'<c>"), "a&amp;b&quot;&#39;&lt;c&gt;");
    }
}
