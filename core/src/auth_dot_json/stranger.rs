//! Recognizes a file of another program in the place of a login: some have its name, and users copy
//! others there. Only the names of the fields are looked at.

use serde::Deserialize;

use super::extra_fields::ExtraFields;

/// The kinds of logins that opencode stores, one for each provider.
const KINDS: [&str; 3] = ["oauth", "api", "wellknown"];

#[derive(Deserialize)]
struct Provider {
    #[serde(rename = "type")]
    kind: String,
}

/// Returns what a record with these fields looks like, if it looks like the file of another program.
pub(super) fn stranger_with(fields: &ExtraFields) -> Option<&'static str> {
    let is_provider = |name| {
        let found: Option<Provider> = fields.get(name);
        found.is_some_and(|provider| KINDS.contains(&&*provider.kind))
    };
    let is_key =
        |name: &str| ["openai_api_key", "api_key", "apikey"].contains(&&*name.to_ascii_lowercase());
    if fields.names().any(is_provider) {
        Some("a file of opencode, with a login for each provider")
    } else if has_camel_case(fields) {
        Some("another program's tokens, whose names are in camel case")
    } else if ["access_token", "refresh_token"].iter().any(|name| fields.contains(name)) {
        Some("another program's tokens, which are not below `tokens`")
    } else if fields.names().any(is_key) {
        Some("an API key, but not by the name `OPENAI_API_KEY`")
    } else {
        None
    }
}

/// Returns whether there is a token in `fields` as other programs name it.
pub(super) fn has_camel_case(fields: &ExtraFields) -> bool {
    ["accessToken", "refreshToken", "idToken"].iter().any(|name| fields.contains(name))
}

#[cfg(test)]
mod tests {
    use super::super::AuthDotJson;

    #[test]
    fn a_file_of_another_program_is_known_by_its_names() {
        for (json, expected) in [
            (
                r#"{"openai": {"type": "oauth", "refresh": "r", "access": "a", "expires": 1}}"#,
                "opencode",
            ),
            (r#"{"anthropic": {"type": "api", "key": "k"}}"#, "opencode"),
            (r#"{"accessToken": "a", "refreshToken": "r"}"#, "camel case"),
            (r#"{"access_token": "a", "refresh_token": "r"}"#, "not below `tokens`"),
            (r#"{"openai_api_key": "sk-1"}"#, "`OPENAI_API_KEY`"),
            (r#"{"apiKey": "sk-1"}"#, "`OPENAI_API_KEY`"),
        ] {
            let record = AuthDotJson::parse(json.as_bytes()).expect("an object");
            let found = record.stranger().unwrap_or_else(|| panic!("{json}"));
            assert!(found.contains(expected), "{found} for {json}");
        }
        for json in ["{}", r#"{"auth_mode": "future", "new": {"type": 1}}"#, r#"{"apiKey": null}"#]
        {
            let record = AuthDotJson::parse(json.as_bytes()).expect("an object");
            assert_eq!(record.stranger(), None, "{json}");
        }
        let json = br#"{"tokens": {"accessToken": "secret-1", "refreshToken": "secret-2"}}"#;
        let text = AuthDotJson::parse(json).expect_err("no login").to_string();
        assert!(text.contains("`tokens.access_token` is missing"), "{text}");
        assert!(text.contains("camel case") && !text.contains("secret"), "{text}");
    }
}
