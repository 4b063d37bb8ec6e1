//! Tokens: who comes by TCP shows one (RFC 6750, section 2.1).

use super::error::ApiError;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ring::digest::{SHA256, digest};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Fewest characters of a token: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read tokens from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing in it.
    #[error("no token in {0}")]
    Empty(PathBuf),
    /// A token that can be guessed; the text does not tell it.
    #[error("line {line} of {path} has {length} characters: want {SHORTEST} at least")]
    Short {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Of the token.
        length: usize,
    },
}

/// The tokens that are good; kept as hashes.
pub struct Tokens(Vec<[u8; 32]>);

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    /// Reads tokens, one a line. Empty lines and lines that begin with "#" are none.
    ///
    /// # Errors
    /// [`TokenError`] names file and line.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text =
            fs::read_to_string(path).map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
        let lines = text.lines().map(str::trim).enumerate();
        let mut tokens = Vec::new();
        for (i, token) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if token.len() < SHORTEST {
                let (path, length) = (path.to_owned(), token.len());
                return Err(TokenError::Short { path, line: i + 1, length });
            }
            tokens.extend(hash(token));
        }
        if tokens.is_empty() { Err(TokenError::Empty(path.to_owned())) } else { Ok(Self(tokens)) }
    }

    /// Compares hashes: how long that takes tells nothing of the tokens.
    fn admits(&self, token: &str) -> bool {
        hash(token).is_some_and(|hash| self.0.contains(&hash))
    }
}

fn hash(token: &str) -> Option<[u8; 32]> {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().ok()
}

pub(super) async fn ask_for_token(
    State(tokens): State<Arc<Tokens>>,
    request: Request,
    next: Next,
) -> Response {
    if token_of(request.headers()).is_some_and(|token| tokens.admits(token)) {
        return next.run(request).await;
    }
    let hint = "send a token of the controller's token_file, as in \"Authorization: Bearer TOKEN\"";
    let error = ApiError::new(StatusCode::UNAUTHORIZED, "no valid token", hint);
    ([(header::WWW_AUTHENTICATE, "Bearer")], error).into_response()
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_and_compared() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            fs::write(file.path(), text).unwrap();
            Tokens::read(file.path())
        };
        let tokens = read("# for neutron\n\n  0123456789abcdef \nanother-one-0123456789\n").unwrap();
        assert!(tokens.admits("0123456789abcdef") && tokens.admits("another-one-0123456789"));
        for other in ["", "0123456789abcde", "0123456789abcdef ", "# for neutron"] {
            assert!(!tokens.admits(other), "{other}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
        assert!(matches!(read("# none\n"), Err(TokenError::Empty(_))));
        assert!(matches!(read("\nshort\n"), Err(TokenError::Short { line: 2, length: 5, .. })));
    }

    #[test]
    fn only_bearer_tokens_count() {
        let of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            token_of(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer abc"), Some("abc".into()));
        assert_eq!(of("bearer  abc"), Some("abc".into()));
        assert_eq!(of("Basic abc"), None);
        assert_eq!(of("abc"), None);
    }
}
