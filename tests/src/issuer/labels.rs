//! Names for tokens, so that no test and no message has to carry a token itself.

use std::fmt;

/// The n-th pair of a family: `a0` is what the login `a` started with.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Label {
    pub(super) family: String,
    pub(super) generation: usize,
}

impl Label {
    pub(super) fn new(family: &str, generation: usize) -> Self {
        Self { family: family.to_owned(), generation }
    }

    /// Reads `a0`. A family's name has no digit at its end, so the split is never in doubt.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let family = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let generation = text[family.len()..].parse().ok()?;
        is_family_name(family).then(|| Self::new(family, generation))
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.family, self.generation)
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum TokenKind {
    Access,
    Refresh,
    Id,
}

/// One token by name, printed as `refresh:a0`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct TokenName {
    pub(super) kind: TokenKind,
    pub(super) label: Label,
}

impl TokenName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, label) = text.split_once(':')?;
        let kind = match kind {
            "access" => TokenKind::Access,
            "refresh" => TokenKind::Refresh,
            "id" => TokenKind::Id,
            _ => return None,
        };
        Label::parse(label).map(|label| Self { kind, label })
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TokenKind::Access => "access",
            TokenKind::Refresh => "refresh",
            TokenKind::Id => "id",
        };
        write!(f, "{kind}:{}", self.label)
    }
}

pub(super) fn is_family_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && text.chars().all(allowed) && !text.ends_with(|c: char| c.is_ascii_digit())
}
