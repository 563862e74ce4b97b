//! What looks like a secret: by the name that it goes under, or by its own form.
//!
//! Rather one too many than one too few: what is taken for a secret still works, it only stands elsewhere.

/// Words in a name that make what it names a secret.
const WORDS: [&str; 21] = [
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pin",
    "credential",
    "credentials",
    "auth",
    "authorization",
    "bearer",
    "pat",
    "dsn",
    "cookie",
    "signature",
    "webhook",
    "license",
];

/// Words that are often written together with another: `PGPASSWORD`, `authtoken`.
const ENDINGS: [&str; 5] = ["password", "passwd", "secret", "token", "apikey"];

/// How keys of well-known services begin.
const PREFIXES: [&str; 25] = [
    "sk-",
    "sk_",
    "pk_live_",
    "rk_live_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "ya29.",
    "hf_",
    "npm_",
    "pypi-",
    "SG.",
    "eyJ",
    "ntn_",
    "lin_api_",
];

/// A run of letters and digits this long, mixed, is nobody's word.
const LONG: usize = 20;

/// Whether a variable, flag or header of this name holds a secret.
pub(crate) fn is_name(name: &str) -> bool {
    let words = words_of(name);
    // `…_FILE` and `…_PATH` say where a secret lies.
    let points = matches!(words.last().map(String::as_str), Some("file" | "path" | "dir" | "url"));
    let says = |word: &String| {
        WORDS.contains(&word.as_str()) || ENDINGS.iter().any(|ending| word.ends_with(ending))
    };
    !points && words.iter().any(says)
}

/// Whether a value that goes under the name of a secret is one: `AUTH=true` and `MAX_KEY=5` are settings.
pub(crate) fn could_be(value: &str) -> bool {
    !matches!(value, "" | "true" | "false" | "none" | "null" | "yes" | "no" | "on" | "off")
        && (value.len() >= 4 || !value.bytes().all(|b| b.is_ascii_digit()))
}

/// Whether a value looks like a secret whatever it is called.
pub(crate) fn is_value(value: &str) -> bool {
    let known = |prefix: &str| value.starts_with(prefix) && value.len() >= prefix.len() + 8;
    PREFIXES.iter().any(|prefix| known(prefix))
        || value.starts_with("-----BEGIN")
        || value.strip_prefix("Bearer ").is_some_and(|token| token.len() >= 6)
        || has_password(value)
        || value.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
    user.is_some_and(|(_, password)| !password.is_empty())
}

/// Letters and digits that change places often: a key, and neither a word nor a date.
fn is_random(run: &str) -> bool {
    let kinds: Vec<bool> = run.bytes().map(|b| b.is_ascii_digit()).collect();
    run.len() >= LONG && kinds.windows(2).filter(|pair| pair[0] != pair[1]).count() >= 4
}

/// The words of `API_KEY`, `api-key`, `apiKey` and `X-Api-Key`, in small letters.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (before.is_ascii_lowercase() && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets() {
        for name in ["API_KEY", "--api-key", "apiKey", "X-Api-Key", "GITHUB_TOKEN", "PGPASSWORD"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["PATH", "LOG_LEVEL", "MAX_TOKENS", "KEYBOARD", "TOKEN_FILE", "monkey", "cwd"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(!could_be("true") && !could_be("") && !could_be("300") && could_be("hunter2"));
    }

    #[test]
    fn forms_of_secrets() {
        for value in [
            "ghp_0123456789abcdefABCDEF",
            "sk-proj-abcdefgh",
            "postgres://app:hunter2@db:5432/app",
            "Bearer abcdef",
            "a1b2c3d4e5f6a7b8c9d0e1f2",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(is_value(value), "{value}");
        }
        for value in [
            "claude-3-5-sonnet-20241022",
            "/home/you/projects/app",
            "@modelcontextprotocol/server-filesystem@2025.8.21",
            "postgres://localhost/app",
            "https://example.com/mcp",
            "sk-",
            "550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert!(!is_value(value), "{value}");
        }
    }
}
