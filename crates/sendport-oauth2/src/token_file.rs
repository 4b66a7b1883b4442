//! A token in a file that another program renews.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::Timestamp;
use sendport_core::regular_file;
use sendport_core::secret::Secret;
use sendport_core::secret_source::text_of_secret_file;

use super::token_response::TokenResponse;
use crate::settings::TokenFile as Config;
use crate::{TokenError, TokenSource};

/// Reads the file at every authentication: nothing is cached.
pub(super) struct TokenFile {
    path: PathBuf,
    clock: Arc<dyn Clock>,
}

impl TokenFile {
    pub(super) fn new(config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self {
            path: config.token_file.clone(),
            clock,
        }
    }

    /// The content and its modification time.
    async fn read(&self) -> std::io::Result<(String, Timestamp)> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || regular_file::read(&path));
        let text = text_of_secret_file(read.await??)?;
        let written = tokio::fs::metadata(&self.path).await?.modified()?;
        Ok((text, written.into()))
    }

    fn explain(&self, what: &dyn std::fmt::Display) -> String {
        format!("auth.oauth2.token_file '{}': {what}", self.path.display())
    }
}

#[async_trait]
impl TokenSource for TokenFile {
    async fn token(&self) -> Result<Secret, TokenError> {
        // The other program may be late: trying again may help.
        let invalid = |what: &dyn std::fmt::Display| TokenError::invalid(self.explain(what));
        let (text, written) = self.read().await.map_err(|cause| invalid(&cause))?;
        let response = TokenResponse::from_text(&text).map_err(|what| invalid(&what))?;
        let token = response.into_token(written, self.clock.now());
        Ok(token.map_err(|what| invalid(&what))?.secret)
    }

    async fn refused(&self, _token: &Secret) {}
}
